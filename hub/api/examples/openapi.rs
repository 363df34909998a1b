//! Prints the description of the operator interface: what `docs/openapi.json` holds.

fn main() {
    print!("{}", ringfort_api::openapi());
}
