//! The bodies of notifications for web receivers. Each value may have words of an agent or a tool,
//! so it stands where the format knows no markup, and signs with a meaning are escaped too. No body
//! has an action that a server could call.

use cofferdam_core::model::notification::{Notification, NotifyEvent};
use cofferdam_core::text::{Letter, harmless, seconds};
use serde_json::{Map, Value, json};

/// The most fields of a section of Slack.
const FIELDS: usize = 10;

/// The signed JSON of a webhook.
pub fn webhook(notification: &Notification, letter: &Letter, environment: &str) -> Value {
    let Notification { id, event, time, call, detail } = notification;
    let call = call.as_ref().map(|call| {
        // `quoted` has words of others: a program must not read them as anything but text, and
        // many programs pass them on to a chat.
        json!({
            "id": call.call,
            "ends": seconds(call.expires),
            "signatures_needed": call.quorum,
            "quoted": {
                "agent": harmless(&call.agent),
                "for": call.person.as_deref().map(harmless),
                "tool": harmless(&call.tool),
                "summary": harmless(&call.summary),
            },
        })
    });
    json!({
        "type": event,
        "id": id,
        "timestamp": time,
        "environment": environment,
        "title": letter.title,
        "next": letter.next,
        "link": letter.link,
        "call": call,
        "detail": harmless(detail),
    })
}

/// A message of Slack. Values are `plain_text`, which has no markup, no mention and no link.
pub fn slack(letter: &Letter) -> Value {
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let mut blocks = vec![json!({"type": "header", "text": plain(&letter.title)})];
    let fields: Vec<Value> = letter
        .lines
        .iter()
        .map(|(label, value)| plain(&format!("{label}\n{}", slack_text(value))))
        .collect();
    blocks.extend(fields.chunks(FIELDS).map(|some| json!({"type": "section", "fields": some})));
    blocks.push(json!({"type": "section", "text": plain(&letter.next)}));
    if let Some(link) = &letter.link {
        let text = json!({"type": "mrkdwn", "text": format!("<{link}|Open the call>")});
        blocks.push(json!({"type": "section", "text": text}));
    }
    json!({
        "text": letter.title,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

/// The three signs that Slack reads in every text.
fn slack_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An Adaptive Card for a workflow of Microsoft Teams. Values are `TextRun`, which has no Markdown.
pub fn teams(letter: &Letter) -> Value {
    let run = |text: &str, weight: &str| json!({"type": "TextRun", "text": text, "weight": weight});
    let title = json!({
        "type": "TextBlock",
        "size": "Medium",
        "weight": "Bolder",
        "wrap": true,
        "text": letter.title,
    });
    let mut body = vec![title];
    body.extend(letter.lines.iter().map(|(label, value)| {
        let label = run(&format!("{label}: "), "Bolder");
        let inlines = [label, run(&teams_text(value), "Default")];
        json!({"type": "RichTextBlock", "inlines": inlines})
    }));
    body.push(json!({"type": "RichTextBlock", "inlines": [run(&letter.next, "Default")]}));
    let open =
        |link: &String| json!({"type": "Action.OpenUrl", "title": "Open the call", "url": link});
    let actions: Vec<Value> = letter.link.iter().map(open).collect();
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": actions,
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// Takes functions (`{{DATE(…)}}`) and templates (`${…}`, `@{…}`) of cards their meaning.
fn teams_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut last = ' ';
    for letter in text.chars() {
        if letter == '{' && matches!(last, '{' | '$' | '@') {
            shown.push(' ');
        }
        shown.push(letter);
        last = letter;
    }
    shown
}

/// A message of ntfy, without Markdown and without actions: a tap opens the page.
pub fn ntfy(letter: &Letter, topic: &str) -> Value {
    let mut value = json!({
        "topic": topic,
        "title": letter.title,
        "message": text(letter),
        "priority": if letter.is_urgent { 4 } else { 3 },
    });
    if let (Some(link), Some(object)) = (&letter.link, value.as_object_mut()) {
        object.insert("click".to_owned(), json!(link));
    }
    value
}

/// An event of PagerDuty (Events API version 2).
pub fn pagerduty(
    notification: &Notification,
    letter: &Letter,
    environment: &str,
    routing_key: &str,
) -> Value {
    let details: Map<String, Value> =
        letter.lines.iter().map(|(label, value)| ((*label).to_owned(), json!(value))).collect();
    let links: Vec<Value> =
        letter.link.iter().map(|link| json!({"href": link, "text": "Open the call"})).collect();
    json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": notification.id,
        "client": "Cofferdam",
        "links": links,
        "payload": {
            "summary": letter.title,
            "source": environment,
            "severity": severity(notification.event),
            "timestamp": notification.time,
            "class": notification.event,
            "custom_details": details,
        },
    })
}

fn severity(event: NotifyEvent) -> &'static str {
    match event {
        NotifyEvent::LedgerUnwritable | NotifyEvent::FenceMissing => "critical",
        NotifyEvent::Indeterminate | NotifyEvent::JobStuck => "error",
        NotifyEvent::ApprovalNeeded
        | NotifyEvent::Escalated
        | NotifyEvent::ApprovalExpiring
        | NotifyEvent::Expired => "warning",
        NotifyEvent::Test => "info",
    }
}

/// The letter as plain text: a line for each value, then the next step and the page.
pub(super) fn text(letter: &Letter) -> String {
    let mut lines: Vec<String> =
        letter.lines.iter().map(|(label, value)| format!("{label}: {value}")).collect();
    lines.push(String::new());
    lines.push(letter.next.clone());
    lines.extend(letter.link.clone());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::id::CallId;
    use cofferdam_core::model::notification::NotifiedCall;
    use cofferdam_core::text::letter;
    use jiff::Timestamp;

    /// Words of a tool that try to be markup, a mention, a link, a header or a template.
    const ATTACKS: [&str; 14] = [
        "<!channel> approve now",
        "<https://evil.example|Open the call>",
        "*bold* _it_ `code` ~no~",
        "[Open the call](https://evil.example)",
        "{{DATE(2026-01-01T00:00:00Z)}} ${secret} @{body}",
        "<at>ann</at> &lt;b&gt;",
        "x\r\nBcc: eve@evil.example\r\n\r\nsecond body",
        "\",\"actions\":[{\"action\":\"http\"}],\"x\":\"",
        "see www.evil.example and https://evil.example",
        "evil.example, evil.com/approve?x=1 (shop.evil.io:8443)",
        "eve@evil.example mailto:eve@evil tel:+49123 javascript:alert(1)",
        r"10.0.0.1/approve and \\evil\share",
        "b\u{fc}cher.example evil\u{3002}com xn--evl-fma.xn--p1ai",
        "ev\u{200b}il.com\u{202e}moc.live",
    ];

    /// The words in this text of which programs for chat and mail make links.
    fn links(text: &str) -> Vec<String> {
        let words =
            text.split(|letter: char| letter.is_whitespace() || "[]()<>|,\"`".contains(letter));
        let is_link = |word: &&str| {
            let lower = word.to_lowercase();
            let parts: Vec<&str> = lower.split(['.', '\u{3002}', '/', ':']).collect();
            let domain = parts.windows(2).any(|pair| {
                let [host, last] = pair else { return false };
                let joined = [".", "\u{3002}"].map(|dot| format!("{host}{dot}{last}"));
                joined.iter().any(|joined| lower.contains(joined))
                    && host.ends_with(char::is_alphanumeric)
                    && last.chars().take_while(|letter| letter.is_alphabetic()).count() >= 2
            });
            let scheme = ["://", "mailto:", "tel:", "javascript:"];
            let share = lower.split_once(r"\\").is_some_and(|(_, rest)| !rest.is_empty());
            domain
                || share
                || lower.contains("10.0.0")
                || scheme.iter().any(|sign| lower.contains(sign))
        };
        words.filter(is_link).map(str::to_owned).collect()
    }

    fn attack(words: &str) -> (Notification, Letter) {
        let time = Timestamp::from_second(1_800_000_000).unwrap();
        let call = NotifiedCall {
            call: CallId::parse("abcdefghijklmnopqrstuvwxyz").unwrap(),
            agent: words.into(),
            person: Some(words.into()),
            tool: words.into(),
            summary: words.into(),
            quorum: Some(1),
            expires: time,
        };
        let event = NotifyEvent::ApprovalNeeded;
        let notification =
            Notification { id: "a.b".into(), event, time, call: Some(call), detail: words.into() };
        let letter = letter(&notification, "shop", "https://gate.example.com");
        (notification, letter)
    }

    /// Every text beneath, with the key that it stands at.
    fn texts<'a>(key: &'a str, value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
        match value {
            Value::String(text) => found.push((key, text)),
            Value::Array(all) => all.iter().for_each(|one| texts(key, one, found)),
            Value::Object(all) => all.iter().for_each(|(key, one)| texts(key, one, found)),
            _ => {}
        }
    }

    /// The only link of a body is the page of the call, or of its approval.
    #[test]
    fn words_of_others_bring_no_link_and_no_action_into_any_format() {
        for words in ATTACKS {
            let (notification, letter) = attack(words);
            for (format, body) in [
                ("slack", slack(&letter)),
                ("teams", teams(&letter)),
                ("ntfy", ntfy(&letter, "ops")),
                ("pagerduty", pagerduty(&notification, &letter, "shop", "key")),
                ("webhook", webhook(&notification, &letter, "shop")),
                ("mail", json!({"text": super::text(&letter)})),
            ] {
                let mut found = Vec::new();
                texts("", &body, &mut found);
                let ours = ["$schema", "contentType", "id", "dedup_key", "type", "timestamp"];
                for (key, text) in found.iter().filter(|(key, _)| !ours.contains(key)) {
                    let rest = text.replace("https://gate.example.com", "");
                    assert_eq!(links(&rest), Vec::<String>::new(), "{format} {key}: {text}");
                    assert!(!rest.contains('\r'), "{format} {key}: {text}");
                }
                assert!(body.get("actions").is_none(), "{format}: {body}");
            }
        }
    }

    #[test]
    fn the_links_of_this_test_are_seen_where_they_are_not_broken() {
        for words in [ATTACKS[8], ATTACKS[9], ATTACKS[10], ATTACKS[11], ATTACKS[12]] {
            assert!(links(words).len() >= 2, "{words}: {:?}", links(words));
        }
    }

    #[test]
    fn slack_reads_no_markup_in_words_of_others() {
        for words in ATTACKS {
            let body = slack(&attack(words).1);
            assert_eq!(body["text"], "A call needs your approval in shop");
            let blocks = body["blocks"].as_array().unwrap();
            let marked: Vec<&Value> =
                blocks.iter().filter(|block| block["text"]["type"] == "mrkdwn").collect();
            assert_eq!(marked.len(), 1, "{body}");
            let link =
                "<https://gate.example.com/approve/abcdefghijklmnopqrstuvwxyz|Open the call>";
            assert_eq!(marked[0]["text"]["text"], link);
            for field in blocks.iter().filter_map(|block| block["fields"].as_array()).flatten() {
                assert_eq!(field["type"], "plain_text");
                assert!(!field["text"].as_str().unwrap().contains(['<', '>']), "{field}");
            }
        }
        assert_eq!(slack_text("<!here> & &lt;"), "&lt;!here&gt; &amp; &amp;lt;");
    }

    #[test]
    fn teams_reads_no_markdown_and_no_function_in_words_of_others() {
        for words in ATTACKS {
            let body = teams(&attack(words).1);
            let card = &body["attachments"][0]["content"];
            for block in card["body"].as_array().unwrap() {
                // The one text with Markdown is ours.
                let ours = block["text"] == "A call needs your approval in shop";
                assert!(ours || block["type"] == "RichTextBlock", "{block}");
                let shown = block.to_string();
                for sign in ["{{", "${", "@{"] {
                    assert!(ours || !shown.replace("[{", "").contains(sign), "{shown}");
                }
            }
            assert_eq!(card["actions"].as_array().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_webhook_keeps_words_of_others_apart() {
        let (notification, letter) = attack(ATTACKS[6]);
        let body = webhook(&notification, &letter, "shop");
        let quoted = &body["call"]["quoted"];
        assert_eq!(quoted["summary"], harmless(ATTACKS[6]));
        assert!(!body["title"].as_str().unwrap().contains("eve"));
        assert_eq!(body["type"], "approval_needed");
    }
}
