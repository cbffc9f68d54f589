//! Acts and rules from anybody: whatever the bytes, they are refused or are the one form of what they say.
#![no_main]

use credence_law::registry::Register;
use credence_law::{Act, Object, Rules, Signed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(signed) = Signed::decode(bytes) {
        assert_eq!(signed.encode(), bytes);
    }
    if let Ok(object) = Object::<Act>::decode(bytes) {
        assert_eq!(object.encode(), bytes);
    }
    if let Ok(object) = Object::<Rules>::decode(bytes) {
        assert_eq!(object.encode(), bytes);
        if let Rules::Registry(registry) = object.body {
            drop(Register::new(registry));
        }
    }
});
