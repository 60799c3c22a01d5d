//! Whole objects from the arguments. This file reads only kind, name and namespace, and passes the
//! objects on unchanged. The ceiling limits their fields.

use super::{Apply, CONFIG_MAP, Kind, Operation, Place, Refusal, SERVICE, Step};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

/// One object, as JSON text with its name.
#[derive(Debug)]
pub struct Manifest {
    head: Head,
    text: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
struct Head {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    namespace: Option<String>,
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(from)?;
        let head = serde_json::from_str(text.get()).map_err(Error::custom)?;
        Ok(Self { head, text })
    }
}

impl Manifest {
    /// True if the object is of this kind.
    pub fn is(&self, kind: Kind) -> bool {
        let (group, version) =
            self.head.api_version.split_once('/').unwrap_or(("", &self.head.api_version));
        (group, version, self.head.kind.as_str()) == (kind.group, kind.version, kind.kind)
    }

    /// Kind and name, such as `Deployment web`.
    pub fn title(&self) -> String {
        format!("{} {}", self.head.kind, self.head.metadata.name)
    }

    /// The namespace in the object, if it names one.
    pub fn namespace(&self) -> Option<&str> {
        self.head.metadata.namespace.as_deref()
    }

    /// The step that applies the object in this place.
    pub fn apply(self, place: Place) -> Step {
        Step::new(Operation::Apply(Apply { place, object: Box::<str>::from(self.text).into() }))
    }

    /// The position in the order: configuration first, then Services, then workloads.
    fn rank(&self) -> u8 {
        [CONFIG_MAP, SERVICE]
            .iter()
            .position(|kind| self.is(*kind))
            .map_or(2, |place| if place == 0 { 0 } else { 1 })
    }
}

/// Returns the steps that apply these objects in `place`: configuration first, then Services, then
/// workloads, which wait for all configuration.
///
/// # Errors
/// An object is of another kind, names another namespace, or occurs twice.
pub fn in_order(
    mut manifests: Vec<Manifest>,
    kinds: &[Kind],
    place: &Place,
) -> Result<Vec<Step>, Refusal> {
    let here = match place {
        Place::Ephemeral => None,
        Place::Namespace(namespace) => Some(namespace.as_str()),
    };
    for (index, manifest) in manifests.iter().enumerate() {
        if !kinds.iter().any(|kind| manifest.is(*kind)) {
            let known: Vec<_> = kinds.iter().map(|kind| kind.kind).collect();
            return Err(Refusal::new(
                format!("this tool does not apply `{}`", manifest.title()),
                format!("Give only: {}.", known.join(", ")),
            ));
        }
        if manifest.namespace().is_some_and(|named| Some(named) != here) {
            return Err(Refusal::new(
                format!("`{}` must not name another namespace", manifest.title()),
                "Leave `metadata.namespace` out of every manifest.",
            ));
        }
        if manifests.iter().skip(index + 1).any(|other| other.title() == manifest.title()) {
            return Err(Refusal::new(
                format!("`{}` is given twice", manifest.title()),
                "Give each object once.",
            ));
        }
    }
    manifests.sort_by_key(Manifest::rank);
    let configuration =
        u32::try_from(manifests.iter().filter(|manifest| manifest.rank() == 0).count())
            .unwrap_or(u32::MAX);
    let step = |manifest: Manifest| {
        let runs = manifest.rank() == 2;
        let step = manifest.apply(place.clone());
        if runs { step.after(0..configuration) } else { step }
    };
    Ok(manifests.into_iter().map(step).collect())
}

#[cfg(test)]
mod tests {
    use super::{Manifest, in_order};
    use crate::tool::{CONFIG_MAP, DEPLOYMENT, Operation, Place, SERVICE};

    fn manifests(text: &str) -> Vec<Manifest> {
        serde_json::from_str(text).unwrap()
    }

    fn check(text: &str, expect: Result<&[(&str, &[u32])], &str>) {
        let steps = in_order(
            manifests(text),
            &[CONFIG_MAP, SERVICE, DEPLOYMENT],
            &Place::Namespace("team-a".into()),
        );
        let found = steps.map_err(|refusal| refusal.reason).map(|steps| {
            let each = steps.into_iter().map(|step| match step.operation {
                Operation::Apply(apply) => (apply.object, step.after),
                other => panic!("{other:?}"),
            });
            each.collect::<Vec<_>>()
        });
        let expect = expect.map(|steps| {
            steps
                .iter()
                .map(|(object, after)| ((*object).to_owned(), after.to_vec()))
                .collect::<Vec<_>>()
        });
        assert_eq!(found, expect.map_err(str::to_owned));
    }

    const CONFIG: &str =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web"},"data":{"n":"1.0"}}"#;
    const DEPLOY: &str = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"team-a"},"spec":{"replicas":2}}"#;
    const REACH: &str =
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{}}"#;

    #[test]
    fn workloads_come_after_their_configuration() {
        check(
            &format!("[{DEPLOY},{REACH},{CONFIG}]"),
            Ok(&[(CONFIG, &[]), (REACH, &[]), (DEPLOY, &[0])]),
        );
        check(&format!("[{DEPLOY}]"), Ok(&[(DEPLOY, &[])]));
    }

    #[test]
    fn other_kinds_and_places_are_refused() {
        check(
            r#"[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}}]"#,
            Err("this tool does not apply `Secret s`"),
        );
        check(
            r#"[{"apiVersion":"apps/v1beta1","kind":"Deployment","metadata":{"name":"d"}}]"#,
            Err("this tool does not apply `Deployment d`"),
        );
        check(
            r#"[{"apiVersion":"v1","kind":"Service","metadata":{"name":"s","namespace":"team-b"}}]"#,
            Err("`Service s` must not name another namespace"),
        );
        check(&format!("[{CONFIG},{CONFIG}]"), Err("`ConfigMap web` is given twice"));
        assert!(
            serde_json::from_str::<Vec<Manifest>>(
                r#"[{"kind":"Service","metadata":{"name":"s"}}]"#
            )
            .is_err()
        );
    }
}
