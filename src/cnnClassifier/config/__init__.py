"""Configuration: `types` says what may be configured, `loading` is the only reader of YAML."""
