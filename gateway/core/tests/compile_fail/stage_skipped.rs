//! A plan without preview and decision is not queued.
use cofferdam_core::stage::enqueue::enqueue;
use cofferdam_core::stage::seal::SealedPlan;
use cofferdam_core::model::record::Entry;
use cofferdam_core::stage::validate::ValidCall;

fn skip(sealed: SealedPlan, call: &ValidCall, key: &ed25519_dalek::SigningKey, base: Entry) {
    let _queued = enqueue(sealed, call, key, base);
}

fn main() {}
