//! The query string of a return from the issuer of people: an encoded form, read strictly. A name
//! that is there twice is refused, because two readers could choose differently.

/// Most characters of a query string: codes and states of issuers have some hundreds.
const QUERY: usize = 8 * 1024;

/// The values of these names, in their order. Other names have no meaning.
///
/// # Errors
/// A name is there twice, or the text is too long or not an encoded form in UTF-8.
pub fn values<const N: usize>(
    query: Option<&str>,
    names: [&str; N],
) -> Result<[Option<String>; N], &'static str> {
    let query = query.unwrap_or_default();
    if query.len() > QUERY {
        return Err("the query string is too long");
    }
    let mut found = [const { None }; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let places = found.iter_mut().zip(names);
        let Some((place, _)) = places.into_iter().find(|(_, own)| *own == name) else { continue };
        if place.is_some() {
            return Err("the query string has a name twice");
        }
        *place = Some(decoded(value).ok_or("the query string is not an encoded form")?);
    }
    Ok(found)
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_first_chunk::<2>()?;
                rest = after;
                let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
                u8::try_from(high? * 16 + low?).ok()?
            }
            other => *other,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_once_and_strictly() {
        let read = |query| values(Some(query), ["code", "state"]);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read(""), Ok([None, None]));
        assert_eq!(read("code=a%2Fb+c&x=1&state="), Ok([text("a/b c"), text("")]));
        assert_eq!(read("c%6Fde=a"), Ok([None, None]), "a name is not decoded");
        assert!(read("code=a&code=b").is_err());
        for bad in ["code=%", "code=%2", "code=%zz", "code=%+1", "code=%ff", "code=%0a"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&format!("code={}", "a".repeat(QUERY))).is_err());
        assert_eq!(values(None, ["code"]), Ok([None]));
    }
}
