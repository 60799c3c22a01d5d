//! The frame of every page for people, and the headers that keep other pages out of it. All text
//! goes through the template, which escapes it.

use crate::edge::Edge;
use crate::respond::{self, Answer};
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::relying_party::RelyingParty;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName};
use maud::{DOCTYPE, Markup, html};

/// Our own stylesheet and script alone; no frame, no form, no other place; no text becomes a script.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      form-action 'none'; frame-ancestors 'none'; base-uri 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The same for a page whose form asks this server with GET.
const POLICY_WITH_FORM: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// The other headers of every answer to a page or its script.
const HEADERS: [(&str, &str); 5] = [
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), \
         microphone=(), geolocation=()",
    ),
];

/// The attributes of a page that its script reads.
#[derive(Debug, Default, Clone, Copy)]
pub struct PageData<'a> {
    /// The page to which a browser goes on at once.
    pub refresh: Option<&'a str>,
    /// The name of the page.
    pub page: &'a str,
    /// The statement of a sign-in.
    pub statement: Option<&'a str>,
    /// The challenge of that statement, in base64url.
    pub challenge: Option<&'a str>,
}

/// The parts of a page that differ between the pages of approvers and those of the console.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// The path of the page's own script.
    pub script: &'static str,
    /// The links to other pages, above the content.
    pub navigation: Option<Markup>,
    /// True if the page has a form, which asks this server with GET.
    pub has_form: bool,
    /// True if the page has tables and needs more width than a text.
    pub wide: bool,
    /// The attributes of the page that its script reads.
    pub data: PageData<'a>,
}

/// Adds the headers of pages.
pub fn guarded(answer: Answer) -> Answer {
    guarded_with(answer, false)
}

fn guarded_with(answer: Answer, has_form: bool) -> Answer {
    let policy = if has_form { POLICY_WITH_FORM } else { POLICY };
    let answer = respond::add(answer, CONTENT_SECURITY_POLICY, policy);
    HEADERS.iter().fold(answer, |answer, (name, value)| {
        respond::add(answer, HeaderName::from_static(name), value)
    })
}

impl<F: Front> Edge<F> {
    /// A page with this title and content.
    pub(super) fn page_of(
        &self,
        status: StatusCode,
        title: &str,
        data: &PageData<'_>,
        content: &Markup,
    ) -> Answer {
        let frame = Frame {
            script: "/assets/passkey.js",
            navigation: None,
            has_form: false,
            wide: false,
            data: *data,
        };
        self.framed(status, title, &frame, content)
    }

    /// A page in a frame.
    pub(super) fn framed(
        &self,
        status: StatusCode,
        title: &str,
        frame: &Frame<'_>,
        content: &Markup,
    ) -> Answer {
        let environment = self.front.environment();
        let party = self.settings.party.as_ref().map(RelyingParty::id);
        let data = &frame.data;
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    @if let Some(next) = data.refresh {
                        meta http-equiv="refresh" content=(format!("0; url={next}"));
                    }
                    title { (title) " – Cofferdam " (environment) }
                    link rel="stylesheet" href="/assets/cofferdam.css";
                    script src=(frame.script) defer {}
                }
                body.wide[frame.wide] {
                    header {
                        strong { "Cofferdam" }
                        span { "environment " strong { (environment) } }
                        a href="/sign-in" { "Your sign-in" }
                    }
                    @if let Some(navigation) = &frame.navigation { (navigation) }
                    main data-page=(data.page) data-party=[party] data-environment=(environment)
                        data-statement=[data.statement] data-challenge=[data.challenge] {
                        h1 { (title) }
                        (content)
                        p role="status" aria-live="polite" {}
                    }
                }
            }
        };
        let answer = respond::with(status, "text/html; charset=utf-8", document.into_string());
        guarded_with(answer, frame.has_form)
    }

    /// The page in place of one that needs passkeys, where they are off or the address is another.
    pub(super) fn elsewhere(&self, path: &str) -> Answer {
        let content = match &self.settings.party {
            Some(party) => html! {
                p { "Passkeys belong to one address. Open this page there:" }
                p { a href=(format!("{party}{path}")) { (party) (path) } }
            },
            None => html! {
                p {
                    "Passkeys are off: browsers offer them on https:// pages alone, and on \
                     http://localhost. An operator sets " code { "url" } " in " code { "[edge]" }
                    " of cofferdam.toml to the https:// address at which people reach this server."
                }
                p { "Meanwhile approvers sign on the command line: " code { "cofferdam approve" } "." }
            },
        };
        let status = StatusCode::MISDIRECTED_REQUEST;
        self.page_of(status, "Not at this address", &PageData::default(), &content)
    }
}
