//! The secrets that a plan's rules name, unlocked once before a run begins.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::home::Home;
use crate::network::Credential;
use crate::plan::Plan;

/// Finds every secret that a granted rule names.
///
/// # Errors
/// One is not there: a run that cannot end well does not begin.
pub(crate) fn unlock(plan: &Plan, home: &Home) -> Result<BTreeMap<String, Credential>, Failure> {
    let mut found = BTreeMap::new();
    for (task, _, work) in plan.flow.leaves() {
        for ask in work.grants.network.iter().filter_map(|rule| rule.secret.as_ref()) {
            let name = ask.name.as_str();
            if found.contains_key(name) {
                continue;
            }
            let secret = home.secrets()?.find(&ask.name)?;
            let secret = secret.ok_or_else(|| missing(&task, name))?;
            let credential = Credential { name: name.to_owned(), value: secret.value, hosts: secret.hosts };
            found.insert(name.to_owned(), credential);
        }
    }
    Ok(found)
}

fn missing(task: &str, name: &str) -> Failure {
    Failure::invalid(
        "secret/not-stored",
        format!("task `{task}` sends the secret `{name}`, and there is none of that name"),
        format!(
            "store it: cofferdam secret set {name} --host HOST < FILE; to run without: --deny {task}=secrets"
        ),
    )
}
