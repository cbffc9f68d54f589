//! Flow, credit and policy to a verdict with its terms, in integers.
