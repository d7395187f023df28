// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packages that `cargo test` at the root covers, and whether a row's command can be run: whether its package,
//! program, script and whatever else it names exist.

use crate::tree::Tree;
use std::collections::BTreeSet;

pub struct Package {
    pub name: String,
    /// From the root: empty, or with a slash at the end.
    pub folder: String,
    features: BTreeSet<String>,
}

pub struct Workspace<'a> {
    tree: &'a Tree,
    pub packages: Vec<Package>,
    /// Folders of the packages that a command without `-p` selects.
    default: BTreeSet<String>,
}

impl<'a> Workspace<'a> {
    /// The root and the members, as the root's manifest lists them.
    pub fn of(tree: &'a Tree) -> Result<Self, String> {
        let manifest = manifest(tree, "")?;
        let folders = |list: &str| {
            let listed = manifest.get("workspace").and_then(|workspace| workspace.get(list)?.as_array());
            let listed = listed.ok_or_else(|| format!("the workspace has no {list}"))?;
            let folder = |path: &str| if path == "." { String::new() } else { format!("{path}/") };
            Ok::<BTreeSet<String>, String>(listed.iter().filter_map(toml::Value::as_str).map(folder).collect())
        };
        let (default, mut all) = (folders("default-members")?, folders("members")?);
        all.insert(String::new());
        let packages = all.into_iter().map(|folder| Package::read(tree, folder)).collect::<Result<_, _>>()?;
        Ok(Self { tree, packages, default })
    }

    /// What is wrong with a command, if anything is.
    pub fn complaint(&self, command: &str) -> Option<String> {
        let mut words = command.split_whitespace().skip_while(|word| word.contains('='));
        let (program, arguments) = (words.next().unwrap_or_default(), words.collect::<Vec<_>>());
        match (program, &arguments[..]) {
            ("cargo", ["test", rest @ ..]) => self.of_test(rest).err(),
            ("cargo", ["run", rest @ ..]) => self.of_run(rest).err(),
            ("cargo", ["bench", ..]) => {
                (!self.tree.has("benches/Cargo.toml")).then(|| "there are no benches".to_owned())
            }
            (script, _) if !script.contains('/') => Some(format!("{script} is not understood here")),
            (script, _) if !self.tree.has(script) => Some(format!("there is no {script}")),
            (script, _) if !self.tree.is_executable(script) => Some(format!("{script} cannot be executed")),
            ("tests/campaign", names) => {
                let known = campaigns(self.tree);
                names.iter().find(|name| !known.contains(**name)).map(|name| format!("{name} is no campaign"))
            }
            _ => None,
        }
    }

    /// `cargo test`: packages, programs and features exist, and a filter matches a test of each program.
    fn of_test(&self, arguments: &[&str]) -> Result<(), String> {
        let packages = self.selected(arguments)?;
        let (mut programs, mut filters) = (Vec::new(), Vec::new());
        let mut words = arguments.iter().take_while(|word| **word != "--");
        while let Some(word) = words.next() {
            match *word {
                "--test" => {
                    let name = words.next().ok_or("--test needs a name")?;
                    let of = |package: &&&Package| self.root_of(package, name).is_some();
                    let package = packages.iter().find(of).ok_or(format!("there is no test program {name}"))?;
                    programs.push((*name, self.tests_of_program(package, name)));
                }
                "--lib" => programs.push(("the library", self.tests_of_libraries(&packages))),
                "-p" | "--features" => drop(words.next()),
                option if option.starts_with('-') => {}
                filter => filters.push(filter),
            }
        }
        for filter in filters {
            if programs.is_empty() {
                return Err(format!("{filter:?} filters all programs, and may match no test"));
            }
            let is_unknown = |tests: &[String]| !tests.iter().any(|test| test.contains(filter));
            if let Some((name, _)) = programs.iter().find(|(_, tests)| is_unknown(tests)) {
                return Err(format!("no test of {name} has {filter:?} in its name"));
            }
        }
        Ok(())
    }

    /// `cargo run`: the example, or the program of the package, exists.
    fn of_run(&self, arguments: &[&str]) -> Result<(), String> {
        let packages = self.selected(arguments)?;
        let has = |path: &str| packages.iter().any(|package| self.tree.has(&format!("{}{path}", package.folder)));
        let Some(name) = value_of(arguments, "--example") else {
            return if has("src/main.rs") || has("src/bin/") {
                Ok(())
            } else {
                Err("there is no program to run".to_owned())
            };
        };
        // In a package of examples alone, they lie at its root.
        let files = ["examples/", ""].map(|folder| [format!("{folder}{name}.rs"), format!("{folder}{name}/main.rs")]);
        if files.iter().flatten().any(|path| has(path)) { Ok(()) } else { Err(format!("there is no example {name}")) }
    }

    /// The packages that a command's `-p` names, or the default ones; they have the features that it names.
    fn selected(&self, arguments: &[&str]) -> Result<Vec<&Package>, String> {
        let named = value_of(arguments, "-p");
        let is_selected =
            |package: &&Package| named.map_or(self.default.contains(&package.folder), |name| package.name == name);
        let packages = self.packages.iter().filter(is_selected);
        let packages: Vec<&Package> = packages.collect();
        if packages.is_empty() {
            return Err(format!("there is no package {}", named.unwrap_or_default()));
        }
        let unknown = |name: &&str| !packages.iter().any(|package| package.features.contains(*name));
        match value_of(arguments, "--features").and_then(|names| names.split(',').find(unknown)) {
            Some(name) => Err(format!("there is no feature {name}")),
            None => Ok(packages),
        }
    }

    /// The first file of a test program.
    fn root_of(&self, package: &Package, program: &str) -> Option<String> {
        let folder = &package.folder;
        let files = [format!("{folder}tests/{program}.rs"), format!("{folder}tests/{program}/main.rs")];
        files.into_iter().find(|path| self.tree.has(path))
    }

    /// The tests of a program, with the modules that their files are. Tests that a macro makes are not seen.
    fn tests_of_program(&self, package: &Package, program: &str) -> Vec<String> {
        let root = self.root_of(package, program).unwrap_or_default();
        let mut found = self.tests_below(&format!("{}tests/{program}/", package.folder));
        found.extend(tests_in(self.tree.text(&root)));
        found
    }

    fn tests_of_libraries(&self, packages: &[&Package]) -> Vec<String> {
        packages.iter().flat_map(|package| self.tests_below(&format!("{}src/", package.folder))).collect()
    }

    fn tests_below(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        for path in self.tree.paths().filter(|path| path.starts_with(folder)) {
            let module = path.trim_start_matches(folder).trim_end_matches(".rs").trim_end_matches("/mod");
            let text = self.tree.text(path);
            let inner = if text.contains("\nmod tests {") { "::tests" } else { "" };
            let module = module.replace('/', "::");
            found.extend(tests_in(text).iter().map(|test| format!("{module}{inner}::{test}")));
        }
        found
    }
}

impl Package {
    fn read(tree: &Tree, folder: String) -> Result<Self, String> {
        let manifest = manifest(tree, &folder)?;
        let name = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
        let name = name.ok_or(format!("{folder}Cargo.toml names no package"))?.to_owned();
        let features = manifest.get("features").and_then(toml::Value::as_table);
        let features = features.map(|features| features.keys().cloned().collect()).unwrap_or_default();
        Ok(Self { name, folder, features })
    }
}

fn manifest(tree: &Tree, folder: &str) -> Result<toml::Table, String> {
    let path = format!("{folder}Cargo.toml");
    tree.text(&path).parse().map_err(|error| format!("{path}: {error}"))
}

/// The word after an option.
fn value_of<'a>(words: &[&'a str], option: &str) -> Option<&'a str> {
    words.windows(2).find_map(|two| match two {
        [name, value] if *name == option => Some(*value),
        _ => None,
    })
}

/// The names that `tests/campaign` knows.
pub fn campaigns(tree: &Tree) -> BTreeSet<&str> {
    let arms = tree.text("tests/campaign").lines().filter_map(|line| line.trim().split_once(") campaign "));
    arms.map(|(name, _)| name).collect()
}

/// The target that a file is, if it is one.
pub fn fuzz_target(path: &str) -> Option<&str> {
    path.strip_prefix("fuzz/fuzz_targets/")?.strip_suffix(".rs")
}

/// The targets that `fuzz/run` runs: those of its list, with the lengths of their inputs, and the control.
pub fn fuzz_targets_run(tree: &Tree) -> BTreeSet<&str> {
    tree.text("fuzz/run").lines().filter_map(name_before_length).collect()
}

fn name_before_length(line: &str) -> Option<&str> {
    let (name, rest) = line.trim_start_matches("if fuzz ").split_once(' ')?;
    rest.split(' ').next()?.parse::<u32>().ok().map(|_| name)
}

/// The names of the tests in a file, without modules.
pub fn tests_in(text: &str) -> Vec<String> {
    let after = text.split("#[test]").skip(1);
    let name = |rest: &str| rest.split_once("fn ")?.1.split_once('(').map(|(name, _)| name.to_owned());
    after.filter_map(name).filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).collect()
}
