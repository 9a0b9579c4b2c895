//! What a client and an operator send, by hand, and what comes back.

use crate::machine::{Count, Counted, Panic};
use crate::world::World;
use margay::shard::ConnectionId;
use margay_machine::CommandHeader;
use margay_types::{ClientId, GroupId, Index, OperationId, SequenceNumber, SessionId, ShardId};
use margay_wire::Splitter;
use margay_wire::admin::{
    Bootstrap, BootstrapAnswer, GroupStatus, KeyspaceCreate, ReplicaRole, Request, StatusRequest,
    read_answer, write_request,
};
use margay_wire::client::{
    self, Answer, Attach, Attached, Attachment, Close, Command, KeepAlive, KeepAliveItem, Open,
    Query, QueryLevel,
};
use margay_wire::refusal::Refusal;

/// The group that the tests use: the first that is created.
pub(crate) const GROUP: GroupId = GroupId::new(1);

/// One answer, kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Done(Vec<u8>),
    Refused(Refusal),
}

/// One connection to one node.
pub(crate) struct Client {
    pub(crate) place: usize,
    pub(crate) connection: ConnectionId,
    pub(crate) group: GroupId,
    last_request: u64,
}

/// A session on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) attached: Attached,
}

impl Session {
    /// Two openings by one client may have given one session.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.attached.session == other.attached.session
    }
}

impl Client {
    pub(crate) fn connect(world: &mut World, place: usize, number: u64) -> Self {
        let connection = ConnectionId {
            shard: ShardId::FIRST,
            number,
        };
        world.shard(place).on_client_open(connection);
        Self {
            place,
            connection,
            group: GROUP,
            last_request: 0,
        }
    }

    /// The number of the last request.
    pub(crate) fn last(&self) -> u64 {
        self.last_request
    }

    fn next(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }

    fn tell(&self, world: &mut World, bytes: Vec<u8>) {
        world.tell(self.place, self.connection, bytes);
    }

    pub(crate) fn answer(&self, world: &World, request: u64) -> Option<Told> {
        let came = world.answers.get(&(self.place, self.connection))?;
        let mut splitter = Splitter::default();
        let mut frames = splitter.split(came).map(Result::unwrap);
        let found = frames.find(|frame| frame.request == request)?;
        Some(match client::response(found.body).unwrap().answer {
            Answer::Done(output) => Told::Done(output.to_vec()),
            Answer::Refused(refusal) => Told::Refused(refusal),
        })
    }

    pub(crate) fn wait(&self, world: &mut World, request: u64) -> Told {
        world.until("an answer", |world| self.answer(world, request))
    }

    pub(crate) fn admin<R: Request>(&mut self, world: &mut World, asked: &R) -> R::Answer {
        let request = self.next();
        let mut bytes = Vec::new();
        write_request(&mut bytes, request, asked).unwrap();
        self.tell(world, bytes);
        match self.wait(world, request) {
            Told::Done(output) => read_answer::<R>(&output).unwrap(),
            Told::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    pub(crate) fn send_admin<R: Request>(&mut self, world: &mut World, asked: &R) -> u64 {
        let request = self.next();
        let mut bytes = Vec::new();
        write_request(&mut bytes, request, asked).unwrap();
        self.tell(world, bytes);
        request
    }

    pub(crate) fn send_create(&mut self, world: &mut World, groups: u32) -> u64 {
        self.send_admin(world, &keyspace(groups))
    }

    pub(crate) fn send_open(&mut self, world: &mut World, timeout_ms: u32) -> u64 {
        self.send_open_of(world, ClientId::new([9; 16]), timeout_ms)
    }

    fn send_open_of(&mut self, world: &mut World, client: ClientId, timeout_ms: u32) -> u64 {
        let open = Open {
            client,
            attempt: 1,
            group: self.group,
            timeout_ms,
        };
        let request = self.next();
        let mut bytes = Vec::new();
        open.write(&mut bytes, request);
        self.tell(world, bytes);
        request
    }

    pub(crate) fn open(&mut self, world: &mut World) -> Session {
        let request = self.send_open(world, 60_000);
        self.bound(world, request)
    }

    /// Sessions of as many clients, all on this connection.
    pub(crate) fn open_many(&mut self, world: &mut World, count: u8) -> Vec<Session> {
        let clients = (0..count).map(|number| ClientId::new([number; 16]));
        let requests: Vec<u64> = clients
            .map(|client| self.send_open_of(world, client, 60_000))
            .collect();
        let bound = requests.into_iter();
        bound.map(|request| self.bound(world, request)).collect()
    }

    pub(crate) fn bound(&self, world: &mut World, request: u64) -> Session {
        match self.wait(world, request) {
            Told::Done(output) => Session {
                attached: client::attached(&output).unwrap(),
            },
            Told::Refused(refusal) => panic!("no session: {refusal:?}"),
        }
    }

    pub(crate) fn send_attach(&mut self, world: &mut World, session: SessionId) -> u64 {
        let attach = Attach {
            client: ClientId::new([9; 16]),
            session,
            events_received: 0,
            group: self.group,
            incarnation: 0,
        };
        let request = self.next();
        let mut bytes = Vec::new();
        attach.write(&mut bytes, request);
        self.tell(world, bytes);
        request
    }

    /// Closes the session so many times over.
    pub(crate) fn close_again_and_again(
        &mut self,
        world: &mut World,
        session: Session,
        count: u64,
    ) {
        let attachment = session.attached.attachment;
        let mut bytes = Vec::new();
        for _ in 0..count {
            let request = self.next();
            Close { attachment }.write(&mut bytes, request);
        }
        self.tell(world, bytes);
    }

    pub(crate) fn keep_alive(&mut self, world: &mut World, session: Session) {
        let item = KeepAliveItem {
            attachment: session.attached.attachment,
            acknowledged_below: SequenceNumber::new(1),
            events_received: 0,
        };
        let request = self.next();
        let mut bytes = Vec::new();
        KeepAlive::write(&mut bytes, request, [item].into_iter());
        self.tell(world, bytes);
    }

    pub(crate) fn count(
        &mut self,
        world: &mut World,
        session: Session,
        (sequence, acknowledged_below): (u64, u64),
        answer_bytes: u32,
    ) -> u64 {
        let filler = Vec::new();
        let payload = postcard::to_allocvec(&Count {
            answer_bytes,
            filler,
        })
        .unwrap();
        self.command(
            world,
            session,
            (sequence, acknowledged_below),
            (1, &payload),
        )
    }

    /// Counts with a command of so many bytes.
    pub(crate) fn count_large(
        &mut self,
        world: &mut World,
        session: Session,
        sequence: u64,
        filler_bytes: usize,
    ) -> u64 {
        let filler = vec![7; filler_bytes];
        let count = Count {
            answer_bytes: 0,
            filler,
        };
        let payload = postcard::to_allocvec(&count).unwrap();
        self.command(world, session, (sequence, sequence), (1, &payload))
    }

    pub(crate) fn panic(&mut self, world: &mut World, session: Session, sequence: u64) -> u64 {
        let payload = postcard::to_allocvec(&Panic).unwrap();
        self.command(world, session, (sequence, 1), (2, &payload))
    }

    fn command(
        &mut self,
        world: &mut World,
        session: Session,
        (sequence, acknowledged_below): (u64, u64),
        (operation, operands): (u16, &[u8]),
    ) -> u64 {
        let header = CommandHeader::new(
            session.attached.session,
            SequenceNumber::new(sequence),
            SequenceNumber::new(acknowledged_below),
            OperationId::new(operation),
        );
        let mut payload = header.bytes().to_vec();
        payload.extend_from_slice(operands);
        let command = Command {
            attachment: session.attached.attachment,
            payload: &payload,
        };
        let request = self.next();
        let mut bytes = Vec::new();
        command.write(&mut bytes, request);
        self.tell(world, bytes);
        request
    }

    pub(crate) fn query(&mut self, world: &mut World, level: QueryLevel) -> u64 {
        self.query_of(world, level, Attachment::NONE)
    }

    pub(crate) fn query_of(
        &mut self,
        world: &mut World,
        level: QueryLevel,
        attachment: Attachment,
    ) -> u64 {
        let payload = postcard::to_allocvec(&Counted).unwrap();
        let query = Query {
            attachment,
            ..self.question(level, &payload)
        };
        self.ask(world, &query)
    }

    /// A query outside of any session.
    pub(crate) fn question<'a>(&self, level: QueryLevel, payload: &'a [u8]) -> Query<'a> {
        Query {
            attachment: Attachment::NONE,
            group: self.group,
            operation: OperationId::new(1),
            level,
            seen: Index::ZERO,
            issued: SequenceNumber::new(0),
            payload,
        }
    }

    pub(crate) fn ask(&mut self, world: &mut World, query: &Query<'_>) -> u64 {
        let request = self.next();
        let mut bytes = Vec::new();
        query.write(&mut bytes, request);
        self.tell(world, bytes);
        request
    }
}

/// A cluster with one keyspace of so many groups of counters.
pub(crate) fn formed(count: usize, groups: u32) -> World {
    let mut world = World::blank(count);
    let genesis = world.genesis().encode();
    for place in 0..count {
        let mut operator = Client::connect(&mut world, place, 1_000);
        let asked = Bootstrap {
            genesis: genesis.clone(),
        };
        let answer = operator.admin(&mut world, &asked);
        assert_eq!(answer, BootstrapAnswer::Formed);
    }
    let leader = world.until("group 0 has a leader", |world| {
        leader_of(world, GroupId::SYSTEM)
    });
    if groups == 0 {
        return world;
    }
    create(&mut world, leader, groups);
    world.until("every group has a leader", |world| {
        (1..=groups).try_for_each(|group| leader_of(world, GroupId::new(group)).map(|_| ()))
    });
    world
}

pub(crate) fn keyspace(groups: u32) -> KeyspaceCreate {
    KeyspaceCreate {
        name: "counters".to_owned(),
        machine: "counter".to_owned(),
        machine_version: 1,
        options: Vec::new(),
        groups,
        replicas: 0,
    }
}

/// Asks for the keyspace of the tests until it is there.
pub(crate) fn create(world: &mut World, place: usize, groups: u32) {
    let asked = keyspace(groups);
    let mut operator = Client::connect(world, place, 1_001);
    for _ in 0..100 {
        let request = operator.send_admin(world, &asked);
        match operator.wait(world, request) {
            Told::Done(_) => return,
            Told::Refused(_) => world.steps(10),
        }
    }
    panic!("the keyspace was not created");
}

/// What a node says of a group.
pub(crate) fn group(world: &mut World, place: usize, group: GroupId) -> Option<GroupStatus> {
    world.nodes[place].shard.as_ref()?;
    if world.nodes[place].is_paused {
        return None;
    }
    let mut operator = Client::connect(world, place, 2_000);
    world.answers.remove(&(place, operator.connection));
    let asked = StatusRequest {
        from_group: group,
        groups_max: 1,
    };
    let status = operator.admin(world, &asked);
    status.groups.into_iter().find(|found| found.group == group)
}

/// The place whose replica leads, in the greatest term that is seen.
pub(crate) fn leader_of(world: &mut World, id: GroupId) -> Option<usize> {
    let seen = (0..world.nodes.len()).filter_map(|place| Some((group(world, place, id)?, place)));
    seen.collect::<Vec<_>>()
        .into_iter()
        .filter(|(status, _)| status.role == ReplicaRole::Leader)
        .max_by_key(|(status, _)| status.term)
        .map(|(_, place)| place)
}
