//! What operators ask, and whether asking leaves anything behind.

use margay_wire::admin::{
    Bootstrap, ChainRequest, KeyspaceCreate, KeyspaceListRequest, MapRequest, NodeInfoRequest,
    Request, StatusRequest,
};

/// Does a question change the cluster? If so, silence behind it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It looks.
    Reads,
    /// It changes something, in a way that is safe to repeat.
    Changes,
}

/// A request of an operator.
pub trait Question: Request {
    /// What it leaves behind.
    const EFFECT: Effect;
}

macro_rules! questions {
    ($($request:ty = $effect:ident;)*) => {
        $(impl Question for $request {
            const EFFECT: Effect = Effect::$effect;
        })*
    };
}

questions! {
    NodeInfoRequest = Reads;
    Bootstrap = Changes;
    KeyspaceCreate = Changes;
    KeyspaceListRequest = Reads;
    StatusRequest = Reads;
    ChainRequest = Reads;
    MapRequest = Reads;
}
