//! How much of something is left after a time.

/// The whole: shares are numbers of 30 binary places.
pub const ONE: u64 = 1 << 30;

/// What is left after so many 256ths of a half-life: 2^(−i/256) · 2³⁰, rounded to the nearest.
pub const DECAY: [u32; 256] = [
    0x40000000, 0x3fd3b2d6, 0x3fa78457, 0x3f7b746d, 0x3f4f8303, 0x3f23b004, 0x3ef7fb5b, 0x3ecc64f3,
    0x3ea0ecb7, 0x3e759292, 0x3e4a566f, 0x3e1f3839, 0x3df437dd, 0x3dc95544, 0x3d9e905b, 0x3d73e90d,
    0x3d495f45, 0x3d1ef2f0, 0x3cf4a3f8, 0x3cca7249, 0x3ca05dcf, 0x3c766676, 0x3c4c8c2a, 0x3c22ced6,
    0x3bf92e67, 0x3bcfaac8, 0x3ba643e6, 0x3b7cf9ac, 0x3b53cc08, 0x3b2abae4, 0x3b01c62e, 0x3ad8edd1,
    0x3ab031ba, 0x3a8791d6, 0x3a5f0e10, 0x3a36a656, 0x3a0e5a94, 0x39e62ab7, 0x39be16ab, 0x39961e5d,
    0x396e41ba, 0x394680af, 0x391edb28, 0x38f75113, 0x38cfe25d, 0x38a88ef2, 0x388156c0, 0x385a39b4,
    0x383337bb, 0x380c50c3, 0x37e584b8, 0x37bed388, 0x37983d21, 0x3771c16f, 0x374b6061, 0x372519e4,
    0x36feede6, 0x36d8dc54, 0x36b2e51c, 0x368d082b, 0x36674571, 0x36419cd9, 0x361c0e53, 0x35f699cc,
    0x35d13f33, 0x35abfe74, 0x3586d780, 0x3561ca42, 0x353cd6ab, 0x3517fca8, 0x34f33c26, 0x34ce9516,
    0x34aa0764, 0x34859301, 0x346137d9, 0x343cf5db, 0x3418ccf7, 0x33f4bd1a, 0x33d0c634, 0x33ace833,
    0x33892305, 0x3365769b, 0x3341e2e2, 0x331e67c9, 0x32fb0540, 0x32d7bb35, 0x32b48998, 0x32917057,
    0x326e6f62, 0x324b86a7, 0x3228b617, 0x3205fda0, 0x31e35d32, 0x31c0d4bc, 0x319e642d, 0x317c0b76,
    0x3159ca84, 0x3137a149, 0x31158fb3, 0x30f395b2, 0x30d1b337, 0x30afe82f, 0x308e348c, 0x306c983d,
    0x304b1333, 0x3029a55c, 0x30084ea8, 0x2fe70f09, 0x2fc5e66e, 0x2fa4d4c6, 0x2f83da02, 0x2f62f613,
    0x2f4228e8, 0x2f217271, 0x2f00d2a0, 0x2ee04963, 0x2ebfd6ad, 0x2e9f7a6c, 0x2e7f3491, 0x2e5f050e,
    0x2e3eebd2, 0x2e1ee8ce, 0x2dfefbf3, 0x2ddf2531, 0x2dbf6479, 0x2d9fb9bc, 0x2d8024ea, 0x2d60a5f5,
    0x2d413ccd, 0x2d21e963, 0x2d02aba9, 0x2ce3838e, 0x2cc47105, 0x2ca573fd, 0x2c868c6a, 0x2c67ba3a,
    0x2c48fd60, 0x2c2a55ce, 0x2c0bc373, 0x2bed4642, 0x2bcede2b, 0x2bb08b21, 0x2b924d15, 0x2b7423f7,
    0x2b560fbb, 0x2b381050, 0x2b1a25a9, 0x2afc4fb8, 0x2ade8e6d, 0x2ac0e1bc, 0x2aa34995, 0x2a85c5ea,
    0x2a6856ad, 0x2a4afbd0, 0x2a2db546, 0x2a1082ff, 0x29f364ed, 0x29d65b04, 0x29b96534, 0x299c8370,
    0x297fb5aa, 0x2962fbd5, 0x294655e2, 0x2929c3c3, 0x290d456c, 0x28f0dacd, 0x28d483da, 0x28b84085,
    0x289c10c1, 0x287ff47f, 0x2863ebb3, 0x2847f64e, 0x282c1444, 0x28104587, 0x27f48a09, 0x27d8e1be,
    0x27bd4c98, 0x27a1ca8a, 0x27865b86, 0x276aff80, 0x274fb66a, 0x27348037, 0x27195cda, 0x26fe4c46,
    0x26e34e6e, 0x26c86346, 0x26ad8abf, 0x2692c4ce, 0x26781165, 0x265d7077, 0x2642e1f9, 0x262865dc,
    0x260dfc14, 0x25f3a495, 0x25d95f52, 0x25bf2c3f, 0x25a50b4e, 0x258afc73, 0x2570ffa2, 0x255714ce,
    0x253d3bea, 0x252374eb, 0x2509bfc4, 0x24f01c68, 0x24d68acc, 0x24bd0ae2, 0x24a39c9f, 0x248a3ff7,
    0x2470f4dd, 0x2457bb45, 0x243e9323, 0x24257c6b, 0x240c7711, 0x23f38308, 0x23daa046, 0x23c1cebd,
    0x23a90e63, 0x23905f2a, 0x2377c108, 0x235f33f0, 0x2346b7d7, 0x232e4cb0, 0x2315f271, 0x22fda90d,
    0x22e57079, 0x22cd48a9, 0x22b53191, 0x229d2b27, 0x2285355d, 0x226d502a, 0x22557b81, 0x223db757,
    0x222603a0, 0x220e6052, 0x21f6cd60, 0x21df4ac0, 0x21c7d866, 0x21b07646, 0x21992457, 0x2181e28c,
    0x216ab0da, 0x21538f36, 0x213c7d96, 0x21257bed, 0x210e8a31, 0x20f7a857, 0x20e0d654, 0x20ca141c,
    0x20b361a6, 0x209cbee6, 0x20862bd1, 0x206fa85c, 0x2059347d, 0x2042d028, 0x202c7b54, 0x201635f5,
];

/// What is left after `age` with this half-life, both in seconds, as a share of [`ONE`]. Rounded down, in steps of a 256th of a
/// half-life; nothing is left after thirty. A half-life of 0 leaves nothing.
pub fn decay(age: u64, half_life: u64) -> u32 {
    let (Some(halves), Some(rest)) = (age.checked_div(half_life), age.checked_rem(half_life)) else {
        return 0;
    };
    // Half-lives are at most 65,535 days, so that this is far from the end of 64 bits.
    let place = (u128::from(rest) * 256 / u128::from(half_life)) as usize;
    u32::try_from(halves).ok().and_then(|halves| DECAY[place].checked_shr(halves)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By nothing but squares: an entry times itself is the one at twice the place.
    #[test]
    fn the_table_is_that_of_powers_of_two() {
        assert_eq!(u64::from(DECAY[0]), ONE);
        for (place, &left) in DECAY.iter().enumerate().skip(1) {
            let square = u64::from(left).pow(2) >> 30;
            let doubled = 2 * place;
            let expected = u64::from(DECAY[doubled % 256]) >> (doubled / 256);
            assert!(square.abs_diff(expected) <= 2, "{place}: {square} and {expected}");
        }
        assert!(DECAY.is_sorted_by(|left, right| left > right));
    }

    #[test]
    fn half_is_left_after_a_half_life_and_nothing_in_the_end() {
        let day = 86_400;
        assert_eq!(decay(0, day), 1 << 30);
        assert_eq!(decay(day, day), 1 << 29);
        assert_eq!(decay(day / 2, day), 759_250_125, "the square root of a half");
        assert_eq!(decay(30 * day, day), 1);
        assert_eq!(
            (decay(31 * day, day), decay(u64::MAX, day), decay(u64::MAX, 1), decay(5, 0)),
            (0, 0, 0, 0)
        );
    }
}
