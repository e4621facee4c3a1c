//! The OpenAPI document: whole, and without references that lead nowhere.

use std::collections::BTreeSet;

use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(regrow::http::openapi()).unwrap()
}

fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

#[test]
fn every_request_says_what_it_takes_and_gives() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        assert!(operation["summary"].is_string(), "{name} has a summary");
        assert!(
            operation["responses"]["default"].is_object(),
            "{name} may fail"
        );
        let parameters = operation["parameters"].as_array().unwrap();
        let names: BTreeSet<_> = parameters
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        for part in path.split('{').skip(1) {
            let part = part.split('}').next().unwrap();
            assert!(names.contains(part), "{name} lacks {part}");
        }
        assert!(
            names.contains("pretty") && names.contains("envelope"),
            "{name}"
        );
        let is_list = operation.to_string().contains("List_");
        let writes = method != "get";
        assert!(
            writes || is_list == names.contains("pageNum"),
            "{name} is a list or is not"
        );
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(value: &Value, schemas: &serde_json::Map<String, Value>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    let name = target.strip_prefix("#/components/schemas/").unwrap();
                    assert!(schemas.contains_key(name), "{target}");
                }
                members.values().for_each(|member| check(member, schemas));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, schemas)),
            _ => {}
        }
    }
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    check(&document, schemas);
}
