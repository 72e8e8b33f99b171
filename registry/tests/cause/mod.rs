//! Why a task is not trusted.

use cofferdam_registry::{TrustDecision, UntrustedCause};

pub(crate) fn cause(decision: TrustDecision) -> UntrustedCause {
    let TrustDecision::Untrusted { cause } = decision else { unreachable!("{decision:?}") };
    cause
}
