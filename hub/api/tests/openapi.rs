//! The description that is checked in is the one that the code makes, and it is complete.
#![allow(clippy::unwrap_used)]

use std::path::Path;

#[test]
fn the_description_that_is_checked_in_is_the_current_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        checked_in == ringfort_api::openapi(),
        "docs/openapi.json is out of date: cargo run -p ringfort-api --example openapi > docs/openapi.json"
    );
}

#[test]
fn every_operation_describes_its_refusals_and_its_path_parameters() {
    let description: serde_json::Value = serde_json::from_str(&ringfort_api::openapi()).unwrap();
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 30);
    let mut names = Vec::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            let refusal =
                &operation["responses"]["default"]["content"]["application/problem+json"]["schema"];
            assert_eq!(refusal["$ref"], "#/components/schemas/Problem", "{method} {path}");
            names.push(operation["operationId"].as_str().unwrap());
            let given = operation["parameters"].as_array().map_or(0, |parameters| {
                parameters.iter().filter(|parameter| parameter["in"] == "path").count()
            });
            assert_eq!(given, path.matches('{').count(), "{method} {path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["description"].is_string(), "{method} {path} {status}");
            }
        }
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "operation ids are unique");
}

#[test]
fn every_reference_in_the_description_has_its_schema() {
    let text = ringfort_api::openapi();
    let description: serde_json::Value = serde_json::from_str(&text).unwrap();
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let references = text.split("#/components/schemas/").skip(1);
    for name in references.map(|rest| rest.split('"').next().unwrap()) {
        assert!(schemas.contains_key(name), "{name}");
    }
}

#[test]
fn every_operation_says_what_it_asks_of_its_caller() {
    use ringfort_api::roles::ADDRESSES;
    let description: serde_json::Value = serde_json::from_str(&ringfort_api::openapi()).unwrap();
    let mut described = Vec::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            described.push((method.to_uppercase(), path.clone()));
        }
    }
    let mut listed: Vec<_> =
        ADDRESSES.iter().map(|a| (a.method.to_owned(), a.path.to_owned())).collect();
    described.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, described);
}
