//! A client that speaks for another's session: whatever it names, it gets nowhere, and the other goes on undisturbed.
//!
//! What names a session is its number, which can be guessed, and its client's id, which is drawn and told to nobody.
//! On a connection a session has a number of that connection's own.

use crate::harness::{Cluster, RawClient};
use margay_machine::Query as MachineQuery;
use margay_resources::bench::{Bench, Mine};
use margay_types::{ClientId, Index, SequenceNumber, ShardId};
use margay_wire::client::{
    self, Answer, Attach, Attached, Close, KeepAlive, KeepAliveItem, Query, QueryLevel,
};
use margay_wire::{Code, Refusal};

const OWNER: ClientId = ClientId::new([1; 16]);
const THIEF: ClientId = ClientId::new([2; 16]);

/// Everything that a connection can say about a session that is not attached to it.
fn demand_no_way_in(thief: &mut RawClient, group: margay_types::GroupId, victim: &Attached) {
    let attachment = victim.attachment;
    for sequence in [1, 4] {
        let refusal = thief.append_refused(attachment, victim.session, sequence);
        assert_eq!(refusal, Refusal::UnknownAttachment);
    }
    let query = Query {
        attachment,
        group,
        operation: <Mine as MachineQuery<Bench>>::OPERATION,
        level: QueryLevel::Linearizable,
        seen: Index::ZERO,
        issued: SequenceNumber::new(0),
        payload: &[],
    };
    let refusal = thief.refused(|out, request| query.write(out, request));
    assert_eq!(refusal, Refusal::UnknownAttachment);
    let close = Close { attachment };
    let refusal = thief.refused(|out, request| close.write(out, request));
    assert_eq!(refusal, Refusal::UnknownAttachment);
    let item = KeepAliveItem {
        attachment,
        acknowledged_below: SequenceNumber::new(100),
        events_received: 0,
    };
    let write = |out: &mut Vec<u8>, request| KeepAlive::write(out, request, [item].into_iter());
    let detached = thief.ask(write, |answer| match answer {
        Answer::Done(output) => client::detached(output)
            .map(|item| item.expect("it decodes").code)
            .collect::<Vec<Code>>(),
        Answer::Refused(refusal) => panic!("{refusal:?}"),
    });
    assert_eq!(detached, [Code::UnknownAttachment]);
    let attach = Attach {
        client: THIEF,
        session: victim.session,
        events_received: 0,
        group,
        incarnation: victim.incarnation,
    };
    let refusal = thief.refused(|out, request| attach.write(out, request));
    assert_eq!(refusal, Refusal::UnknownSession);
}

/// Two shards on each node: what is said about half of the groups hops from one to the other.
#[test]
fn a_client_that_names_the_session_of_another_is_refused_and_the_other_goes_on() {
    let cluster = Cluster::with_groups_on(4, &[2, 2, 2]);
    for group in cluster.groups() {
        let node = &cluster.nodes[cluster.leader(group)];
        let (mut owner, _) = RawClient::connect(node, OWNER, ShardId::ANY);
        let victim = owner.open(group);
        for sequence in 1..=3 {
            assert_eq!(owner.append(&victim, sequence), sequence);
        }
        let (mut thief, _) = RawClient::connect(node, THIEF, ShardId::ANY);
        demand_no_way_in(&mut thief, group, &victim);
        // With a session of its own it has the same number on its connection, and names the other session in it.
        let own = thief.open(group);
        assert_ne!(own.session, victim.session);
        let refusal = thief.append_refused(own.attachment, victim.session, 4);
        assert_eq!(refusal, Refusal::BadRequest);
        assert_eq!(thief.append(&own, 1), 1);
        for sequence in 4..=6 {
            assert_eq!(owner.append(&victim, sequence), sequence);
        }
    }
    cluster.finish();
}
