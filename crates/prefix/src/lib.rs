//! Longest-prefix match over IPv6, published to readers that never wait.
