//! From stored words and numbers to the domain's types.
