//! Every scenario of `tests/scenarios`, played by native devices against the real server.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use motomind_tests::scenario::play::play;
use motomind_tests::scenario::script::Scenario;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn load(name: &str) -> Scenario {
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        const PLAYED: &[&str] = &[$(stringify!($name)),*];
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                play(&load(stringify!($name)), env!("CARGO_BIN_EXE_scenario-agent")).await;
            }
        )*
    };
}

scenarios! {
    amend_after_it_may_have_arrived,
    another_tenants_vehicle,
    bad_input_is_refused_at_once,
    captive_portal,
    clock_years_ahead,
    cloned_phone,
    competing_corrections,
    correct_what_was_accepted,
    correction_chain_retracted_and_restored,
    correction_waits_for_its_parent,
    discard_after_it_may_have_arrived,
    discard_before_sending,
    first_sync_of_a_new_device,
    import_a_fuel_log,
    kill_and_reopen,
    lost_replies_never_double,
    odometer_replaced,
    offline_capture_then_sync,
    poison_item,
    refusal_and_amend,
    refused_reading_is_offered_again,
    restored_server,
    retraction_needs_a_manager,
    revoked_device,
    same_id_is_one_capture,
    second_process,
    server_unreachable,
    token_expiry,
    two_devices_one_vehicle,
    two_weeks_without_signal,
    unknown_event_type_is_kept,
    viewer_may_not_capture,
    wrong_identity,
}

#[test]
fn every_scenario_is_played() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_string())
        .collect();
    assert_eq!(files, PLAYED.iter().map(ToString::to_string).collect());
}
