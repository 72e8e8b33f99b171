//! Params on the command line: `NAME=VALUE`, again for a list, `NAME.KEY=VALUE`
//! for an object.

use std::collections::BTreeMap;

use cofferdam_manifest::Value;

use super::failure::Failure;

/// Reads every `--param`.
pub(crate) fn parse(given: &[String]) -> Result<BTreeMap<String, Value>, Failure> {
    let mut params: BTreeMap<String, Value> = BTreeMap::new();
    for text in given {
        let help = "write --param NAME=VALUE, or --param NAME.KEY=VALUE for an object";
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("the param `{text}` has no `=`"), help))?;
        let (name, key) = name.split_once('.').map_or((name, None), |(name, key)| (name, Some(key)));
        let value = value.to_owned();
        let mixed = || {
            let why =
                format!("the param `{name}` is given as an object and as a plain value, or a key twice");
            Failure::usage(why, help)
        };
        let entry = params.get_mut(name);
        match (entry, key) {
            (None, None) => {
                params.insert(name.to_owned(), Value::Text(value));
            }
            (None, Some(key)) => {
                let fields = BTreeMap::from([(key.to_owned(), value)]);
                params.insert(name.to_owned(), Value::Fields(fields));
            }
            (Some(Value::Fields(fields)), Some(key)) => {
                if fields.insert(key.to_owned(), value).is_some() {
                    return Err(mixed());
                }
            }
            (Some(Value::Texts(texts)), None) => texts.push(value),
            (Some(entry @ Value::Text(_)), None) => {
                if let Value::Text(first) = std::mem::replace(entry, Value::Texts(Vec::new())) {
                    *entry = Value::Texts(vec![first, value]);
                }
            }
            (Some(_), _) => return Err(mixed()),
        }
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn read(given: &[&str]) -> Result<String, u8> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        parse(&given).map(|params| serde_json::to_string(&params).unwrap()).map_err(|f| f.status())
    }

    #[test]
    fn every_type_of_param_can_be_given() {
        assert_eq!(read(&["a=x=y"]).unwrap(), r#"{"a":"x=y"}"#);
        assert_eq!(read(&["a=1", "a=2", "a=3"]).unwrap(), r#"{"a":["1","2","3"]}"#);
        assert_eq!(read(&["o.url=x", "o.sha=y"]).unwrap(), r#"{"o":{"sha":"y","url":"x"}}"#);
        assert_eq!(read(&["a="]).unwrap(), r#"{"a":""}"#);
        for bad in [&["a"][..], &["o.k=1", "o=2"], &["o=1", "o.k=2"], &["o.k=1", "o.k=2"]] {
            assert_eq!(read(bad), Err(super::super::exit::USAGE), "{bad:?}");
        }
    }
}
