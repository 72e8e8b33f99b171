//! What a task is granted: what its manifest asks for, as far as trust, the
//! pipeline and the command line allow it, each with the reason.

use cofferdam_manifest::{Capabilities, HostPattern, NetworkRule, TcpRule};
use serde::Serialize;

use super::NO_EXEC;
use super::network::{intersect_network, intersect_tcp, network_yaml, tcp_yaml};
use crate::event::Grants;
use crate::model::{CapabilityKind, GrantSpec, Override, Overrides};

/// One thing a task asks for, what it is granted of it, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantLine {
    /// What is asked for.
    pub asked: String,
    /// What is granted of it; empty where nothing is.
    pub granted: Vec<String>,
    /// Why, or why not.
    pub why: String,
    /// The YAML that would grant it, where the pipeline can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Whether nobody decided against it: then it is an error to ask.
    #[serde(skip)]
    pub undecided: bool,
}

/// What a task asks for of the network and is not granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withheld {
    /// HTTP requests.
    pub network: Vec<WithheldRule<NetworkRule>>,
    /// Raw connections.
    pub tcp: Vec<WithheldRule<TcpRule>>,
}

/// A rule that a task asks for and is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithheldRule<R> {
    /// The rule.
    pub rule: R,
    /// Why not.
    pub why: String,
    /// The YAML that would grant it, where the pipeline can.
    pub remedy: Option<String>,
}

/// What one task is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantDecision {
    /// What the sandbox enforces.
    pub grants: Grants,
    /// What it refuses although the task asks for it.
    pub withheld: Withheld,
    /// Everything the task asks for.
    pub lines: Vec<GrantLine>,
    /// What the pipeline grants and the task does not ask for: the place below
    /// `grants`, and the rule.
    pub unasked: Vec<(String, String)>,
}

/// What decides about a task.
#[derive(Clone, Copy, Debug)]
pub struct Deciders<'a> {
    /// The task's name in the pipeline.
    pub task: &'a str,
    /// Why the task is not trusted; nothing where it is.
    pub doubt: Option<&'a str>,
    /// Whether the pipeline's author could grant something: not where it is out
    /// of a registry and not trusted itself.
    pub remediable: bool,
    /// What the pipeline grants, where it says anything.
    pub pipeline: Option<&'a GrantSpec>,
    /// What the command line says.
    pub overrides: &'a Overrides,
}

/// What became of one thing that is asked for.
enum Verdict {
    /// Granted as the pipeline has it.
    Pipeline,
    /// Granted as it is asked for.
    Whole(String),
    /// Refused.
    Refused { why: String, undecided: bool },
}

impl GrantDecision {
    /// Decides about everything a task asks for.
    #[must_use]
    pub fn new(asked: &Capabilities, deciders: Deciders<'_>) -> Self {
        let (grants, withheld) = (Grants::default(), Withheld::default());
        let mut decision = Self { grants, withheld, lines: Vec::new(), unasked: Vec::new() };
        let pipeline = deciders.pipeline;
        for (kind, is_asked, named) in [
            (CapabilityKind::Clock, asked.clock.is_some(), pipeline.is_some_and(|p| p.clock.is_some())),
            (CapabilityKind::Random, asked.random.is_some(), pipeline.is_some_and(|p| p.random.is_some())),
        ] {
            if is_asked {
                decision.decide_real(kind, named, deciders);
            } else if named {
                decision.unasked.push((format!("/{}", kind.as_str()), kind.as_str().to_owned()));
            }
        }
        for rule in &asked.network {
            decision.decide_network(rule, deciders);
        }
        for rule in &asked.tcp {
            decision.decide_tcp(rule, deciders);
        }
        for ask in &asked.exec {
            decision.lines.push(GrantLine {
                asked: format!("exec {}", ask.tool),
                granted: Vec::new(),
                why: NO_EXEC.to_owned(),
                remedy: None,
                undecided: true,
            });
        }
        if let Some(spec) = pipeline {
            for (index, rule) in spec.network.iter().enumerate() {
                if !asked.network.iter().any(|ask| intersect_network(ask, rule).is_some()) {
                    decision.unasked.push((format!("/network/{index}"), format!("network {}", rule.host)));
                }
            }
            for (index, rule) in spec.tcp.iter().enumerate() {
                if !asked.tcp.iter().any(|ask| intersect_tcp(ask, rule).is_some()) {
                    decision
                        .unasked
                        .push((format!("/tcp/{index}"), format!("tcp {}:{}", rule.host, rule.port)));
                }
            }
        }
        decision
    }

    /// What was asked for, is not granted, and nobody decided to refuse.
    pub fn undecided(&self) -> impl Iterator<Item = &GrantLine> {
        self.lines.iter().filter(|line| line.undecided)
    }

    fn decide_real(&mut self, kind: CapabilityKind, named: bool, deciders: Deciders<'_>) {
        let word = format!("{}: real", kind.as_str());
        let verdict = match deciders.verdict(kind, None) {
            Verdict::Pipeline if !named => match deciders.allowed(kind, None) {
                Some(allow) => Verdict::Whole(format!("allowed by --allow {allow}")),
                None => left_out(),
            },
            decided @ (Verdict::Pipeline | Verdict::Whole(_) | Verdict::Refused { .. }) => decided,
        };
        let (granted, why, undecided) = match verdict {
            Verdict::Pipeline => (true, "the pipeline grants it".to_owned(), false),
            Verdict::Whole(why) => (true, why, false),
            Verdict::Refused { why, undecided } => (false, why, undecided),
        };
        match kind {
            CapabilityKind::Clock => self.grants.real_clock = granted,
            CapabilityKind::Random => self.grants.real_random = granted,
            CapabilityKind::Network | CapabilityKind::Tcp | CapabilityKind::Secrets => {}
        }
        let remedy =
            (!granted && deciders.remediable && !by_command(&why)).then(|| format!("grants: {{ {word} }}"));
        let granted = if granted { vec![word.clone()] } else { Vec::new() };
        self.lines.push(GrantLine { asked: word, granted, why, remedy, undecided });
    }

    fn decide_network(&mut self, asked: &NetworkRule, deciders: Deciders<'_>) {
        // A secret is not the pipeline's to give away.
        let grantable = NetworkRule {
            secret: asked.secret.clone().filter(|_| deciders.doubt.is_none()),
            ..asked.clone()
        };
        let remedy = || Some(format!("grants: {{ network: [{}] }}", network_yaml(&grantable)));
        let (rules, why, undecided) = match deciders.verdict(CapabilityKind::Network, Some(&asked.host)) {
            Verdict::Whole(why) => (vec![asked.clone()], why, false),
            Verdict::Refused { why, undecided } => (Vec::new(), why, undecided),
            Verdict::Pipeline => {
                let allowed = deciders.pipeline.into_iter().flat_map(|spec| &spec.network);
                let rules = allowed.filter_map(|rule| intersect_network(asked, rule)).collect();
                deciders.of_pipeline(rules, asked, CapabilityKind::Network, &asked.host)
            }
        };
        let mut secrets = Vec::new();
        let mut granted = Vec::new();
        for mut rule in rules {
            if let Some(secret) = &rule.secret
                && let Some(why) = deciders.no_secret(&rule.host)
            {
                secrets.push(GrantLine {
                    asked: format!("secret {} for {}", secret.name, rule.host),
                    granted: Vec::new(),
                    why,
                    remedy: None,
                    undecided: false,
                });
                rule.secret = None;
            }
            granted.push(network_words(&rule));
            self.grants.network.push(rule);
        }
        let open = granted.is_empty() && deciders.remediable && !by_command(&why);
        let remedy = if open { remedy() } else { None };
        if granted.is_empty() {
            let (rule, why, remedy) = (asked.clone(), why.clone(), remedy.clone());
            self.withheld.network.push(WithheldRule { rule, why, remedy });
        }
        self.lines.push(GrantLine { asked: network_words(asked), granted, why, remedy, undecided });
        self.lines.extend(secrets);
    }

    fn decide_tcp(&mut self, asked: &TcpRule, deciders: Deciders<'_>) {
        let words = |rule: &TcpRule| format!("tcp {}:{}", rule.host, rule.port);
        let (rules, why, undecided) = match deciders.verdict(CapabilityKind::Tcp, Some(&asked.host)) {
            Verdict::Whole(why) => (vec![asked.clone()], why, false),
            Verdict::Refused { why, undecided } => (Vec::new(), why, undecided),
            Verdict::Pipeline => {
                let allowed = deciders.pipeline.into_iter().flat_map(|spec| &spec.tcp);
                let rules = allowed.filter_map(|rule| intersect_tcp(asked, rule)).collect();
                deciders.of_pipeline(rules, asked, CapabilityKind::Tcp, &asked.host)
            }
        };
        let granted: Vec<String> = rules.iter().map(words).collect();
        let open = granted.is_empty() && deciders.remediable && !by_command(&why);
        let remedy = open.then(|| format!("grants: {{ tcp: [{}] }}", tcp_yaml(asked)));
        if granted.is_empty() {
            let (rule, why, remedy) = (asked.clone(), why.clone(), remedy.clone());
            self.withheld.tcp.push(WithheldRule { rule, why, remedy });
        }
        self.grants.tcp.extend(rules);
        self.lines.push(GrantLine { asked: words(asked), granted, why, remedy, undecided });
    }
}

impl<'a> Deciders<'a> {
    /// What the command line and trust say; where they leave it to the
    /// pipeline, its own rules decide.
    fn verdict(self, kind: CapabilityKind, host: Option<&HostPattern>) -> Verdict {
        let refused = |why: String| Verdict::Refused { why, undecided: false };
        if self.overrides.hermetic {
            return refused("refused by --hermetic".to_owned());
        }
        // A suffix that is denied in part is denied whole: what is left of it
        // could not be written as a rule.
        let overlaps = |own: &Override| {
            own.host.as_ref().zip(host).is_none_or(|(own, asked)| own.intersect(asked).is_some())
        };
        if let Some(deny) = self.overrides.deny.iter().find(|deny| self.means(deny, kind) && overlaps(deny)) {
            return refused(format!("refused by --deny {deny}"));
        }
        if self.pipeline.is_some() {
            return Verdict::Pipeline;
        }
        match (self.doubt, self.allowed(kind, host)) {
            (None, _) => Verdict::Whole("the task is trusted".to_owned()),
            (Some(_), Some(allow)) => Verdict::Whole(format!("allowed by --allow {allow}")),
            (Some(why), None) => Verdict::Refused { why: why.to_owned(), undecided: true },
        }
    }

    /// What became of a rule that the pipeline decided about.
    fn of_pipeline<R: Clone>(
        self,
        rules: Vec<R>,
        asked: &R,
        kind: CapabilityKind,
        host: &HostPattern,
    ) -> (Vec<R>, String, bool) {
        match (rules.is_empty(), self.allowed(kind, Some(host))) {
            (_, Some(allow)) => (vec![asked.clone()], format!("allowed by --allow {allow}"), false),
            (false, None) => (rules, "the pipeline grants it".to_owned(), false),
            (true, None) => (rules, "the pipeline's `grants` leaves it out".to_owned(), false),
        }
    }

    fn means(self, own: &Override, kind: CapabilityKind) -> bool {
        own.kind == kind && own.names_task(self.task)
    }

    /// The word that allows all of what is asked for.
    fn allowed(self, kind: CapabilityKind, host: Option<&HostPattern>) -> Option<&'a Override> {
        let covers = |own: &Override| match (&own.host, host) {
            (None, _) => true,
            (Some(own), Some(asked)) => own.intersect(asked).as_ref() == Some(asked),
            (Some(_), None) => false,
        };
        // Names inside a pipeline that is not trusted are its author's choice: a word
        // for a task of one's own does not mean one there.
        let named = |own: &Override| self.remediable || own.task.is_none();
        self.overrides.allow.iter().find(|allow| named(allow) && self.means(allow, kind) && covers(allow))
    }

    /// Why requests to a host go out without a secret, if they do. A pipeline
    /// can come with the change that is built, so it cannot give one away.
    fn no_secret(self, host: &HostPattern) -> Option<String> {
        if let Some(why) = self.doubt {
            return Some(format!("no secrets: {why}"));
        }
        if let Some(whose) = &self.overrides.untrusted_source {
            return Some(format!("no secrets: {whose}"));
        }
        let denied = self.overrides.deny.iter().find(|deny| {
            self.means(deny, CapabilityKind::Secrets)
                && deny.host.as_ref().is_none_or(|own| own.intersect(host).is_some())
        });
        denied.map(|deny| format!("refused by --deny {deny}"))
    }
}

/// Whether the command line refused: nothing in a pipeline changes that.
fn by_command(why: &str) -> bool {
    why.starts_with("refused by --")
}

fn left_out() -> Verdict {
    Verdict::Refused { why: "the pipeline's `grants` leaves it out".to_owned(), undecided: false }
}

/// A rule in words, everything it leaves to a default spelled out.
pub(crate) fn network_words(rule: &NetworkRule) -> String {
    let methods: Vec<&str> = rule.effective_methods().iter().map(|method| method.as_str()).collect();
    let scheme = rule.scheme.as_str();
    let mut words = format!("{} {scheme}://{}", methods.join(","), rule.host);
    if rule.effective_port() != rule.scheme.default_port() {
        words += &format!(":{}", rule.effective_port());
    }
    words += rule.path.as_str();
    if !rule.addresses.is_empty() {
        let ranges: Vec<String> = rule.addresses.iter().map(ToString::to_string).collect();
        words += &format!(" at {}", ranges.join(", "));
    }
    if let Some(secret) = &rule.secret {
        words += &format!(" with secret {}", secret.name);
    }
    words
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use serde_json::json;

    fn asked() -> Capabilities {
        serde_json::from_value(json!({
            "clock": "real",
            "network": [
                { "host": "*.example.org", "secret": { "name": "token", "as": "bearer" } },
                { "host": "other.test" },
            ],
            "tcp": [{ "host": "clamd.test", "port": 3310 }],
        }))
        .unwrap()
    }

    fn decide(
        trusted: bool,
        pipeline: Option<serde_json::Value>,
        deny: &[&str],
        allow: &[&str],
    ) -> GrantDecision {
        let pipeline: Option<GrantSpec> = pipeline.map(|spec| serde_json::from_value(spec).unwrap());
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        let overrides = Overrides { deny: parse(deny), allow: parse(allow), ..Overrides::default() };
        let doubt = (!trusted).then_some("the task is not trusted");
        let deciders = Deciders {
            task: "t",
            doubt,
            remediable: true,
            pipeline: pipeline.as_ref(),
            overrides: &overrides,
        };
        GrantDecision::new(&asked(), deciders)
    }

    /// Clock, network rules, secrets among them, tcp rules, undecided lines.
    fn counts(decision: &GrantDecision) -> (bool, usize, usize, usize, usize) {
        let grants = &decision.grants;
        let secrets = grants.network.iter().filter(|rule| rule.secret.is_some()).count();
        (grants.real_clock, grants.network.len(), secrets, grants.tcp.len(), decision.undecided().count())
    }

    #[test]
    fn trust_grants_what_is_asked_and_the_pipeline_narrows_it() {
        assert_eq!(counts(&decide(true, None, &[], &[])), (true, 2, 1, 1, 0));
        assert_eq!(counts(&decide(true, Some(json!({})), &[], &[])), (false, 0, 0, 0, 0));
        let one = json!({ "network": [{ "host": "a.example.org" }] });
        assert_eq!(counts(&decide(true, Some(one), &[], &[])), (false, 1, 0, 0, 0));
    }

    #[test]
    fn without_trust_only_the_pipeline_grants_and_never_a_secret() {
        assert_eq!(counts(&decide(false, None, &[], &[])), (false, 0, 0, 0, 4));
        let all = serde_json::to_value(asked()).unwrap();
        assert_eq!(counts(&decide(false, Some(all), &[], &[])), (true, 2, 0, 1, 0));
    }

    #[test]
    fn the_command_line_narrows_and_only_allow_widens() {
        assert_eq!(counts(&decide(true, None, &["network"], &[])), (true, 0, 0, 1, 0));
        assert_eq!(counts(&decide(true, None, &["t=network:a.example.org"], &[])), (true, 1, 0, 1, 0));
        assert_eq!(counts(&decide(true, None, &["other=network", "secrets"], &[])), (true, 2, 0, 1, 0));
        assert_eq!(counts(&decide(true, None, &["clock", "tcp:clamd.test"], &[])), (false, 2, 1, 0, 0));
        // A part is not the whole: it allows nothing of a suffix.
        assert_eq!(counts(&decide(false, None, &[], &["network:a.example.org"])), (false, 0, 0, 0, 4));
        assert_eq!(counts(&decide(false, None, &[], &["t=network"])), (false, 2, 0, 0, 2));
        assert_eq!(counts(&decide(false, None, &["network"], &["network"])), (false, 0, 0, 0, 2));
    }

    #[test]
    fn hermetic_refuses_everything_and_a_foreign_change_gets_no_secrets() {
        let all = |overrides: Overrides| {
            let deciders =
                Deciders { task: "t", doubt: None, remediable: true, pipeline: None, overrides: &overrides };
            GrantDecision::new(&asked(), deciders)
        };
        let hermetic = all(Overrides { hermetic: true, ..Overrides::default() });
        assert!(hermetic.grants.hermetic());
        assert_eq!(counts(&hermetic), (false, 0, 0, 0, 0));
        let whose = Some("a fork".to_owned());
        let foreign = all(Overrides { untrusted_source: whose, ..Overrides::default() });
        assert_eq!(counts(&foreign), (true, 2, 0, 1, 0));
    }

    #[test]
    fn a_grant_that_nothing_asks_for_is_found() {
        let more = json!({ "random": "real", "network": [{ "host": "evil.test" }], "tcp": [] });
        let decision = decide(true, Some(more), &[], &[]);
        let places: Vec<&str> = decision.unasked.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["/random", "/network/0"]);
    }

    #[test]
    fn a_refusal_shows_what_to_paste() {
        let decision = decide(false, None, &[], &[]);
        let remedies: Vec<&str> = decision.undecided().filter_map(|line| line.remedy.as_deref()).collect();
        assert_eq!(remedies.last().copied(), Some("grants: { tcp: [{ host: clamd.test, port: 3310 }] }"));
    }
}
