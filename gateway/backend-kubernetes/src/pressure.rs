//! Run namespaces that the cluster still has to remove, before a runner creates more. Namespaces
//! that finalizers hold are reported, and stop new jobs only if they are very many. Reads alone.

use super::api::{ApiError, Cluster};
use super::labels::{RunName, managed, name};
use super::reap::{ALL, lean};
use super::{held, object};
use jiff::Timestamp;
use serde_json::Value;

/// The most terminating run namespaces: half a minute's work of a namespace controller at its
/// default rate.
const GOING: usize = 200;

/// The most run namespaces that finalizers of others hold.
const HELD: usize = 200;

/// The longest removal of a namespace without a finalizer, in seconds. An empty one takes five.
/// After this time the controller that removes namespaces does not run.
const LONGEST: u64 = 120;

/// The run namespaces that are going.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Going {
    /// How many the server is still removing.
    pub count: usize,
    /// The one of these that has been going for longest, and for how many seconds.
    pub oldest: Option<(String, u64)>,
    /// Namespaces that finalizers hold, with the finalizers.
    pub held: Vec<(String, String)>,
}

/// Reads the terminating run namespaces.
pub async fn going(cluster: &Cluster, now: Timestamp) -> Result<Going, ApiError> {
    let (found, _) = cluster.list_all("/api/v1/namespaces", &managed(), ALL, lean).await?;
    Ok(of(&found, now))
}

fn of(namespaces: &[Value], now: Timestamp) -> Going {
    let mut going = Going::default();
    let runs = namespaces
        .iter()
        .filter(|object| object::is_terminating(object) && RunName::of(object).is_some());
    for object in runs {
        let own = name(object).unwrap_or_default().to_owned();
        let since = held::since(object).and_then(|since| since.parse::<Timestamp>().ok());
        let seconds = since.map_or(0, |since| now.as_second().saturating_sub(since.as_second()));
        let seconds = u64::try_from(seconds).unwrap_or(0);
        // Every removal has such a condition for some seconds.
        let is_held = !held::finalizers(object).is_empty()
            || (seconds > LONGEST && !held::conditions(object).is_empty());
        if is_held {
            going.held.push((own, held::words(object)));
            continue;
        }
        going.count += 1;
        if going.oldest.as_ref().is_none_or(|(_, oldest)| seconds > *oldest) {
            going.oldest = Some((own, seconds));
        }
    }
    going
}

impl Going {
    /// The reason why no further job should be claimed now, with the remedy; `None` if one may be
    /// claimed.
    pub fn too_much(&self) -> Option<String> {
        if self.count > GOING {
            return Some(format!(
                "the cluster still has {} run namespaces to remove, and {GOING} are the most",
                self.count
            ));
        }
        if let Some((oldest, seconds)) =
            self.oldest.as_ref().filter(|(_, seconds)| *seconds > LONGEST)
        {
            return Some(format!(
                "the cluster removes no namespaces: `{oldest}` has been going for {seconds} s, \
                 and neither a finalizer nor a condition says why; look whether \
                 kube-controller-manager runs, and at `kubectl get namespace {oldest} -o yaml`"
            ));
        }
        let (first, by) = self.held.first().filter(|_| self.held.len() > HELD)?;
        Some(format!(
            "{} run namespaces are held by others, and {HELD} are the most; `{first}` is {by}; \
             look at `kubectl get namespace {first} -o yaml`",
            self.held.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-11-29T17:10:00Z";

    /// A run's namespace that is going since a minute of the hour.
    fn namespace(number: usize, minute: u32, finalizers: &Value, conditions: &Value) -> Value {
        let call = "selfcheckselfcheckselfchec";
        json!({
            "metadata": {
                "name": format!("cofferdam-run-{call}-{number}"),
                "labels": {
                    "cofferdam.dev/managed": "true",
                    "cofferdam.dev/call": call,
                    "cofferdam.dev/fence": number.to_string(),
                },
                "deletionTimestamp": format!("2026-11-29T17:{minute:02}:00Z"),
                "finalizers": finalizers,
            },
            "spec": {"finalizers": ["kubernetes"]}, "status": {"conditions": conditions},
        })
    }

    fn check(namespaces: &[Value], expect: Option<&str>) {
        let said = of(namespaces, NOW.parse().unwrap()).too_much();
        match expect {
            Some(words) => {
                assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{said:?}")
            }
            None => assert_eq!(said, None),
        }
    }

    #[test]
    fn what_others_hold_stops_no_job_and_what_nothing_holds_does() {
        let (none, foreign) = (json!([]), json!(["controller.example.com/namespace-auth"]));
        let remaining = json!([
            {
                "type": "NamespaceContentRemaining",
                "status": "True",
                "message": "pods. has 1 resource instances",
            },
        ]);
        check(&[namespace(1, 9, &none, &none)], None);
        check(&[namespace(1, 0, &foreign, &none)], None);
        check(&[namespace(1, 0, &none, &remaining)], None);
        check(&[namespace(1, 0, &foreign, &none), namespace(2, 9, &none, &none)], None);
        check(
            &[namespace(1, 0, &foreign, &none), namespace(2, 1, &none, &none)],
            Some("`cofferdam-run-selfcheckselfcheckselfchec-2` has been going for 540 s"),
        );
        let many =
            |of: &dyn Fn(usize) -> Value, count: usize| (1..=count).map(of).collect::<Vec<_>>();
        check(&many(&|number| namespace(number, 9, &none, &none), 200), None);
        check(
            &many(&|number| namespace(number, 9, &none, &none), 201),
            Some("201 run namespaces to remove"),
        );
        check(&many(&|number| namespace(number, 0, &foreign, &none), 200), None);
        check(
            &many(&|number| namespace(number, 0, &foreign, &none), 201),
            Some(
                "201 run namespaces are held by others, and 200 are the most; \
                 `cofferdam-run-selfcheckselfcheckselfchec-1` is held by the finalizer \
                 `controller.example.com/namespace-auth`",
            ),
        );
    }
}
