//! The conformance suite of The Update Framework, case by case: what is its counterpart here, or why there is none.
//!
//! After each attack the counterparts look at the word of the refusal, at every byte of the disk, and at just what was asked for.

use crate::{anchors, deceit, disk, files, heads, issuers, mirrors, ways};

/// Tests by themselves, so that none can be named that is not there.
type Tested = &'static [fn()];

/// What a case of the suite has here.
enum Here {
    /// Tests of its counterpart.
    Tests(Tested),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

use Here::{Nothing, Tests};

/// All cases by the numbers under which this project lists them, with the names that they have there.
const SUITE: [(u8, &str, Here); 53] = [
    (
        1,
        "basic_refresh_requests",
        Tests(&[files::a_first_round_asks_for_each_thing_once_and_keeps_what_came]),
    ),
    (
        2,
        "basic_refresh_trusted_data",
        Tests(&[files::a_first_round_asks_for_each_thing_once_and_keeps_what_came]),
    ),
    (
        3,
        "implicit_refresh",
        Nothing("nothing is downloaded by name: what is in force comes by a round or not at all"),
    ),
    (
        4,
        "invalid_initial_root",
        Tests(&[
            anchors::what_is_no_hash_pins_nothing,
            anchors::a_world_begins_with_the_root_that_was_pinned_and_no_other,
        ]),
    ),
    (
        5,
        "unsigned_initial_root",
        Tests(&[
            anchors::a_world_begins_with_the_root_that_was_pinned_and_no_other,
            anchors::a_damaged_anchor_on_the_disk_is_told_and_had_again,
        ]),
    ),
    (
        6,
        "unsigned_metadata",
        Tests(&[
            anchors::a_rule_counts_by_its_signatures_and_in_its_place,
            heads::a_head_counts_by_the_operators_keys_alone,
            issuers::an_issuers_manifest_counts_by_its_own_keys_in_its_time,
            issuers::an_act_that_travels_by_itself_stands_by_itself,
        ]),
    ),
    (
        7,
        "url_and_metadata_version_mismatch",
        Tests(&[
            anchors::a_rule_counts_by_its_signatures_and_in_its_place,
            files::a_delta_leads_where_it_says_inside,
        ]),
    ),
    (8, "timestamp_content_changes", Tests(&[deceit::two_heads_of_one_serial_are_seen_and_kept])),
    (
        9,
        "basic_metadata_hash_support",
        Tests(&[files::a_first_round_asks_for_each_thing_once_and_keeps_what_came]),
    ),
    (10, "targets_hash_mismatch", Tests(&[files::rows_are_those_that_were_named_or_are_not_used])),
    (11, "snapshot_hash_mismatch", Tests(&[files::a_file_is_the_one_that_was_named_or_is_not_used])),
    (
        12,
        "metadata_bytes_match",
        Tests(&[
            files::a_first_round_asks_for_each_thing_once_and_keeps_what_came,
            heads::a_head_counts_by_the_operators_keys_alone,
        ]),
    ),
    (
        13,
        "custom_fields",
        Nothing(
            "the layout is fixed and has no room for fields that nobody knows; bytes behind it are refused, which case 36 shows",
        ),
    ),
    (14, "deprecated_keyid_hash_algorithms", Tests(&[heads::a_head_counts_by_the_operators_keys_alone])),
    (15, "snapshot_404", Tests(&[files::a_file_is_the_one_that_was_named_or_is_not_used])),
    (16, "targets_404", Tests(&[files::rows_are_those_that_were_named_or_are_not_used])),
    (17, "timestamp_404", Tests(&[files::a_mirror_that_has_nothing_changes_nothing])),
    (18, "incorrect_metadata_type", Tests(&[heads::what_is_signed_means_one_thing])),
    (19, "faketime", Tests(&[heads::time_is_what_the_clock_says_and_never_goes_back])),
    (20, "root_expired", Tests(&[anchors::a_root_that_is_over_signs_nothing_but_its_successor])),
    (21, "timestamp_expired", Tests(&[heads::a_head_is_believed_in_its_time])),
    (22, "snapshot_expired", Tests(&[issuers::an_issuers_manifest_counts_by_its_own_keys_in_its_time])),
    (
        23,
        "targets_expired",
        Tests(&[
            issuers::an_act_that_travels_by_itself_stands_by_itself,
            ways::an_act_that_no_manifest_lists_counts_for_an_hour,
        ]),
    ),
    (24, "expired_local_root", Tests(&[anchors::a_root_that_is_over_signs_nothing_but_its_successor])),
    (25, "expired_local_timestamp", Tests(&[heads::whoever_was_away_for_long_still_goes_forward_alone])),
    (
        26,
        "client_downloads_expected_file",
        Tests(&[
            files::a_first_round_asks_for_each_thing_once_and_keeps_what_came,
            files::what_is_known_is_not_asked_for_again,
        ]),
    ),
    (
        27,
        "client_downloads_expected_file_in_sub_dir",
        Nothing("a file's name is the hash of its bytes, in one directory"),
    ),
    (28, "repository_substitutes_target_file", Tests(&[files::changes_that_are_meant_and_others_take_turns])),
    (
        29,
        "multiple_changes_to_target",
        Tests(&[files::changes_that_are_meant_and_others_take_turns, ways::all_ways_lead_to_the_same]),
    ),
    (
        30,
        "download_with_hash_algorithms",
        Nothing("there is one hash, SHA-256; another one takes a new version of the format"),
    ),
    (31, "download_with_unknown_hash_algorithm", Nothing("no hash has a name that could be unknown")),
    (32, "artifact_cache", Tests(&[files::what_is_known_is_not_asked_for_again])),
    (
        33,
        "snapshot_does_not_meet_threshold",
        Tests(&[
            heads::a_head_takes_as_many_keys_as_the_registry_asks_for,
            issuers::an_act_that_travels_by_itself_stands_by_itself,
        ]),
    ),
    (34, "snapshot_has_too_few_keys", Tests(&[anchors::a_rule_counts_by_its_signatures_and_in_its_place])),
    (
        35,
        "duplicate_keys",
        Tests(&[
            anchors::a_rule_counts_by_its_signatures_and_in_its_place,
            anchors::a_root_is_followed_by_one_that_the_old_and_the_new_have_signed,
        ]),
    ),
    (36, "duplicate_sig_keyids", Tests(&[heads::a_head_counts_by_the_operators_keys_alone])),
    (37, "keytype_and_scheme", Tests(&[heads::a_head_counts_by_the_operators_keys_alone])),
    (
        38,
        "invalid_sig_in_valid_metadata",
        Tests(&[heads::a_head_takes_as_many_keys_as_the_registry_asks_for]),
    ),
    (39, "unusual_role_name", Tests(&[files::names_are_hashes])),
    (40, "new_timestamp_version_rollback", Tests(&[heads::nothing_goes_back])),
    (41, "snapshot_rollback", Tests(&[files::mix_and_match_is_seen])),
    (
        42,
        "targets_role_removal",
        Nothing(
            "an issuer whose manifest is over has to go; the operator can leave one out as it can be late, the log shows that, and a gateway's guard holds an update that takes away much",
        ),
    ),
    (
        43,
        "targets_fast_forward_recovery",
        Tests(&[issuers::whoever_went_ahead_with_a_members_key_is_left_behind_by_a_new_one]),
    ),
    (
        44,
        "new_snapshot_fast_forward_recovery",
        Tests(&[heads::whoever_went_ahead_with_a_stolen_key_is_left_behind_by_a_new_one]),
    ),
    (
        45,
        "new_timestamp_fast_forward_recovery",
        Tests(&[
            heads::whoever_went_ahead_with_a_stolen_key_is_left_behind_by_a_new_one,
            heads::one_more_key_is_no_way_back,
        ]),
    ),
    (46, "targets_rollback", Tests(&[issuers::an_issuers_manifest_never_goes_back])),
    (
        47,
        "static_repository",
        Nothing(
            "the recorded repositories are of another format; this one has vectors of its own in `crates/feed/vectors`",
        ),
    ),
    (
        48,
        "graph_traversal",
        Nothing(
            "there is no graph: every issuer stands in the registry itself, and none can pass its word on",
        ),
    ),
    (49, "targetfile_search", Tests(&[issuers::an_issuer_speaks_of_what_it_holds_and_states_itself])),
    (
        50,
        "cached_role_is_verified_against_current_delegator",
        Tests(&[issuers::a_manifest_is_checked_by_the_registry_in_force]),
    ),
    (
        51,
        "delegation_not_in_snapshot",
        Tests(&[issuers::an_issuer_speaks_of_what_it_holds_and_states_itself]),
    ),
    (
        52,
        "root_rotation",
        Tests(&[
            anchors::a_root_is_followed_by_one_that_the_old_and_the_new_have_signed,
            anchors::roots_come_one_by_one,
            anchors::no_mirror_takes_rules_back,
        ]),
    ),
    (
        53,
        "non_root_rotations",
        Tests(&[
            heads::a_key_counts_in_its_time_and_until_it_is_revoked,
            heads::a_head_takes_as_many_keys_as_the_registry_asks_for,
            issuers::a_manifest_is_checked_by_the_registry_in_force,
        ]),
    ),
];

/// What the suite lacks and this project looks at besides.
const BESIDES: [(&str, Tested); 7] = [
    (
        "rules that are lied about",
        &[anchors::a_lie_about_when_a_rule_came_into_force_heals, anchors::no_mirror_takes_rules_back],
    ),
    ("mix and match", &[files::mix_and_match_is_seen]),
    ("a log that is another one", &[deceit::a_log_that_is_another_one_is_seen_and_kept]),
    ("order and doubles", &[files::what_comes_twice_or_out_of_order_is_refused]),
    ("a mirror in a directory", &[mirrors::a_directory_is_followed_and_believed_no_more_than_a_server]),
    ("a crash between two files", &[disk::a_crash_between_two_writes_leaves_one_version_or_the_other]),
    (
        "endless, slow, cut, packed and redirected answers",
        &[mirrors::whatever_a_mirror_does_with_its_answers_nothing_changes],
    ),
];

#[test]
fn each_case_of_the_suite_is_here_once_or_has_a_reason() {
    let numbers: Vec<u8> = SUITE.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=53).collect::<Vec<_>>());
    let mut names: Vec<_> = SUITE.iter().map(|(_, name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SUITE.len());
    let mut without = 0;
    for (number, name, here) in &SUITE {
        match here {
            Tests(tests) => assert!(!tests.is_empty(), "{number} {name}"),
            Nothing(reason) => {
                without += 1;
                assert!(reason.len() > 30, "{number} {name}");
            }
        }
    }
    assert!(BESIDES.iter().all(|(_, tests)| !tests.is_empty()));
    assert_eq!(without, 8, "the README says how many have no counterpart");
}
