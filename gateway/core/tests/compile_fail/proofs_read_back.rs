//! Proofs are not read back from storage: a stored job comes back through the readmission alone.
use cofferdam_core::stage::judge::ApprovedPlan;
use cofferdam_core::stage::readmit::LeasedPlan;
use cofferdam_core::stage::enqueue::QueuedPlan;
use cofferdam_core::stage::seal::SealedPlan;

fn read_back<T: serde::de::DeserializeOwned>() {}

fn main() {
    read_back::<ApprovedPlan>();
    read_back::<QueuedPlan>();
    read_back::<LeasedPlan>();
    read_back::<SealedPlan>();
}
