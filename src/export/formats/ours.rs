//! Our own names and units in the syntaxes that programs read.

use crate::export::{Fields, Format, Language, Section};

/// The tuning guide's constants.
pub(super) static CONFIG_PY: Format = Format {
    name: "config.py",
    aliases: &["python", "config"],
    title: "config.py",
    about: "the tuning guide's constants, each with its evidence",
    headline: "In config.py",
    language: Language::Python,
    opening: "",
    sections: &[Section { line: "{prefix}_{upper} = {value}", between: "\n\n", ..OURS }],
    closing: "",
    absent: &[],
    evidence: true,
};

/// The tuning guide's dictionary.
pub(super) static CONFIG_DICT: Format = Format {
    name: "config-dict",
    aliases: &["dict", "connection_pool_config"],
    title: "the guide's dictionary",
    about: "the tuning guide's connection_pool_config = {…}",
    headline: "The connection pool's settings; times are seconds",
    language: Language::Python,
    opening: "",
    sections: &[Section {
        path: &["connection_pool_config"],
        opening: "connection_pool_config = {\n",
        line: "    '{name}': {value},",
        closing: "}\n",
        ..OURS
    }],
    closing: "",
    absent: &[],
    evidence: false,
};

/// Variables of the environment.
pub(super) static ENV: Format = Format {
    name: "env",
    aliases: &["dotenv", ".env"],
    title: "environment variables",
    about: "variables for a shell, a .env file or systemd",
    headline: "Read by a shell (`set -a; . ./pool.env`), as a .env file or as systemd's EnvironmentFile; times are seconds",
    language: Language::Shell,
    opening: "",
    sections: &[Section { line: "{prefix}_{upper}={value}", ..OURS }],
    closing: "",
    absent: &[],
    evidence: false,
};

/// JSON, which has no comments.
pub(super) static JSON: Format = Format {
    name: "json",
    aliases: &[],
    title: "JSON",
    about: "our names and values, for any program; times are seconds",
    headline: "",
    language: Language::Json,
    opening: "{\n",
    sections: &[Section { line: "  \"{name}\": {value}", between: ",\n", ..OURS }],
    closing: "}\n",
    absent: &[],
    evidence: false,
};

/// YAML.
pub(super) static YAML: Format = Format {
    name: "yaml",
    aliases: &["yml"],
    title: "YAML",
    about: "our names and values; also a profile's `settings`",
    headline: "The connection pool's settings; times are seconds",
    language: Language::Yaml,
    opening: "",
    sections: &[Section { line: "{name}: {value}", ..OURS }],
    closing: "",
    absent: &[],
    evidence: false,
};

/// TOML.
pub(super) static TOML: Format = Format {
    name: "toml",
    aliases: &[],
    title: "TOML",
    about: "our names and values under [connection_pool]",
    headline: "The connection pool's settings; times are seconds",
    language: Language::Toml,
    opening: "",
    sections: &[Section {
        path: &["connection_pool"],
        opening: "[connection_pool]\n",
        line: "{name} = {value}",
        ..OURS
    }],
    closing: "",
    absent: &[],
    evidence: false,
};

const OURS: Section = Section {
    library: "pool-tune",
    heading: "",
    path: &[],
    opening: "",
    line: "",
    between: "\n",
    closing: "",
    commented: false,
    fields: Fields::Ours,
};
