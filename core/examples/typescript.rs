//! Writes the types that cross the border to JavaScript as TypeScript, from the Rust types
//! themselves and from the registry of events and records.
//!
//! ```text
//! cargo run -p motomind-core --features types --example typescript > wasm/ts/generated.ts
//! ```
#![allow(clippy::print_stdout)]

use std::any::TypeId;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use motomind_core::photo::PhotoNote;
use motomind_core::protocol::records::{Revision, schema};
use motomind_core::protocol::{EventRecord, Garage, Violation, flow, registry};
use motomind_core::{
    Aside, Capture, Captured, CustodyReport, Edited, Family, FlagsShown, LocationSaid, Moved,
    PendingItem, PhotoEdit, PhotoMeta, PhotoShown, PlaceShown, RecordConflict, RecordEntry,
    RecordView, SpaceReport, Status, TimelinePage, TimelineQuery, TransferPolicy, UploadItem,
    UploadPlan, VehicleEntry,
};
use ts_rs::{Config, TS, TypeVisitor};

fn main() {
    let mut types = Types { config: Config::new().with_large_int("number"), ..Types::default() };
    macro_rules! roots {
        ($($name:ty),* $(,)?) => { $(types.visit::<$name>();)* };
    }
    roots!(
        Aside,
        Capture,
        Captured,
        CustodyReport,
        Edited,
        Family,
        LocationSaid,
        Moved,
        PendingItem,
        PhotoEdit,
        PhotoMeta,
        PhotoShown,
        PlaceShown,
        RecordConflict,
        RecordEntry,
        RecordView,
        Revision,
        SpaceReport,
        Status,
        TimelinePage,
        TimelineQuery,
        TransferPolicy,
        UploadItem,
        UploadPlan,
        VehicleEntry,
        Violation,
        flow::Session,
        PhotoNote,
        FlagsShown,
        Garage,
        EventRecord,
    );
    println!(
        "// Made by core/examples/typescript.rs from the Rust types; changed there, not here."
    );
    println!("\n{}", events());
    println!("{}", records());
    for text in types.texts.values() {
        println!("{text}");
    }
}

/// Every type met, by its name.
#[derive(Default)]
struct Types {
    config: Config,
    seen: HashSet<TypeId>,
    texts: BTreeMap<String, String>,
}

impl TypeVisitor for Types {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        if !self.seen.insert(TypeId::of::<T>()) {
            return;
        }
        if T::output_path().is_some() {
            let docs = T::docs().unwrap_or_default();
            let text = format!("{docs}export {}\n", T::decl(&self.config));
            self.texts.insert(T::ident(&self.config), tidy(&text));
        }
        T::visit_generics(self);
        T::visit_dependencies(self);
    }
}

/// As a person would lay it out. What a newer peer may add to an object is not typed.
fn tidy(text: &str) -> String {
    let value =
        "number | string | boolean | Array<JsonValue> | { [key in string]: JsonValue } | null";
    let text = text.replace(&format!(" & ({{ [key in string]: {value} }})"), "");
    let text = text.replace(", };", "\n};").replace(", }", "\n}");
    let mut lines: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim_end) {
        inside = inside && line != "};";
        let indent = if inside { "  " } else { "" };
        match (lines.last_mut(), line.strip_prefix(" * ")) {
            (Some(last), Some(said)) if last.ends_with("/**") => last.push_str(&format!(" {said}")),
            (Some(last), _) if line == " */" => last.push_str(" */"),
            _ => lines.push(format!("{indent}{line}").trim_end().into()),
        }
        inside = inside || line.ends_with("= {");
    }
    lines.join("\n") + "\n"
}

/// The payload of every event type.
fn events() -> String {
    let mut text = String::from("/** Keys that the payload of any event may carry. */\n");
    text += &format!("export type CommonPayload = {}\n\n", keys(registry::COMMON));
    text +=
        "/** The payload of every event type of this version. */\nexport interface Payloads {\n";
    for spec in registry::TYPES {
        let _ = writeln!(text, "  {}: {}", spec.name, keys(spec.keys));
    }
    text += "}\n";
    text
}

fn keys(specs: &[registry::KeySpec]) -> String {
    let keys = specs.iter().map(|key| format!("{}?: {}", key.name, payload_value(key.form)));
    format!("{{ {} }}", keys.collect::<Vec<_>>().join("; "))
}

fn payload_value(form: registry::Form) -> String {
    use registry::Form;
    match form {
        Form::Integer(..) | Form::Number(..) | Form::Positive(..) => "number".into(),
        Form::Line | Form::Text | Form::Date => "string".into(),
        Form::Choice(words) => choice(words),
        Form::Bool => "boolean".into(),
        Form::Lines => "string[]".into(),
        Form::Objects => "Record<string, JsonValue>[]".into(),
        Form::Object => "Record<string, JsonValue>".into(),
        Form::Wheels(..) => "{ fl?: number; fr?: number; rl?: number; rr?: number }".into(),
    }
}

/// The fields of every collection.
fn records() -> String {
    let mut text = String::from("/** The fields of the records of every collection. */\n");
    text += "export interface Collections {\n";
    for collection in schema::COLLECTIONS {
        let _ = writeln!(text, "  {}: {{", collection.name);
        for field in collection.fields {
            let _ = writeln!(text, "    {}?: {} | null", field.name, field_value(field.form));
        }
        text += "  }\n";
    }
    text += "}\n";
    text
}

fn field_value(form: schema::Form) -> String {
    use schema::Form;
    match form {
        Form::Integer(..) | Form::Number(..) | Form::Year => "number".into(),
        Form::Flag => "boolean".into(),
        Form::Choice(words) => choice(words),
        Form::Json(_) => "JsonValue".into(),
        Form::Map(_) => "Record<string, JsonValue>".into(),
        Form::Line(..) | Form::Text(_) | Form::Date | Form::Vin | Form::Timezone => "string".into(),
        Form::Ref(_) | Form::Person | Form::Photo => "string".into(),
    }
}

fn choice(words: &[&str]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" | ")
}
