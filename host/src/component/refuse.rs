//! A component from which interfaces are taken: it goes into another beside one
//! component for each of them, which makes nothing. So what a language's own
//! library imports, and its task does not ask for, is not imported: what the
//! component could do is what it says.
//!
//! Beside it and not inside: no component may call one that is inside of it.

use std::collections::BTreeMap;
use std::convert::Infallible;

use wasm_encoder::reencode::{self, Reencode, ReencodeComponent};
use wasm_encoder::{
    Alias, ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentImportSection,
    ComponentInstanceSection, ComponentSectionId, RawSection,
};
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentImport, ComponentTypeRef, Parser, Payload, Validator,
};
use wit_bindgen_core::wit_parser::Resolve;
use wit_component::DecodedWasm;

use super::refusal::refusal;

/// Why nothing can be taken from a component.
#[derive(Debug, thiserror::Error)]
#[error("what its language imports by itself cannot be taken from it: {0}")]
pub(crate) struct RefuseError(String);

/// Takes every imported interface that `is_taken` from a component.
///
/// # Errors
/// [`RefuseError`]: what about it is not understood.
pub(crate) fn refuse(component: &[u8], is_taken: fn(&str) -> bool) -> Result<Vec<u8>, RefuseError> {
    rewrite(component, is_taken).map_err(RefuseError)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only imports and exports are looked at")]
fn rewrite(component: &[u8], is_taken: fn(&str) -> bool) -> Result<Vec<u8>, String> {
    let DecodedWasm::Component(wit, _) =
        wit_component::decode(component).map_err(|error| format!("{error:#}"))?
    else {
        return Err("it is WIT and no component".to_owned());
    };
    let mut outer = Outer::around(wit, is_taken);
    let (mut depth, mut begun) = (0_u32, false);
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|error| error.to_string())?;
        let is_inside = matches!(payload, Payload::ModuleSection { .. } | Payload::ComponentSection { .. });
        // Its imports, and the types they are made of, come before everything else.
        begun |= is_inside;
        match &payload {
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section.clone() {
                    let export = export.map_err(|error| error.to_string())?;
                    outer.exports.push((export.name.name.to_owned(), export.kind.into()));
                }
            }
            Payload::ComponentImportSection(_) if depth == 0 && begun => {
                return Err("it imports something after what it is made of".to_owned());
            }
            payload if !begun => outer.section(component, payload)?,
            // What it is made of goes in whole.
            _ => {}
        }
        let ends = matches!(payload, Payload::End(_));
        depth = (depth + u32::from(is_inside)).saturating_sub(u32::from(ends));
    }
    let made = outer.finish(component);
    Validator::new().validate_all(&made).map_err(|error| error.to_string())?;
    Ok(made)
}

/// The component around it.
struct Outer {
    /// What the one inside imports and exports.
    wit: Resolve,
    is_taken: fn(&str) -> bool,
    out: wasm_encoder::Component,
    places: Places,
    /// How many types there are.
    types: u32,
    components: u32,
    /// What the one inside is given.
    arguments: Vec<(String, ComponentExportKind, u32)>,
    /// What it exports.
    exports: Vec<(String, ComponentExportKind)>,
}

/// Where the instances that were imported have come to stand.
#[derive(Default)]
struct Places {
    /// By where they stood.
    old: Vec<u32>,
    named: BTreeMap<String, u32>,
    /// How many there are.
    count: u32,
}

impl Places {
    fn next(&mut self) -> u32 {
        self.count += 1;
        self.count - 1
    }

    /// Takes note of an instance in place of one that was imported.
    fn note(&mut self, name: &str) -> u32 {
        let place = self.next();
        self.old.push(place);
        self.named.insert(name.to_owned(), place);
        place
    }
}

impl Reencode for Places {
    type Error = Infallible;
}

impl ReencodeComponent for Places {
    fn component_instance_index(&mut self, index: u32) -> u32 {
        // What stands nowhere is told by the validator.
        usize::try_from(index).ok().and_then(|index| self.old.get(index)).copied().unwrap_or(u32::MAX)
    }
}

impl Outer {
    fn around(wit: Resolve, is_taken: fn(&str) -> bool) -> Self {
        let (out, places) = (wasm_encoder::Component::new(), Places::default());
        Self {
            wit,
            is_taken,
            out,
            places,
            types: 0,
            components: 0,
            arguments: Vec::new(),
            exports: Vec::new(),
        }
    }

    /// Writes a section of the component's imports: as it is, but for those that are
    /// taken and what counts instances.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is none of the imports'")]
    fn section(&mut self, component: &[u8], payload: &Payload<'_>) -> Result<(), String> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    self.import(import.map_err(|error| error.to_string())?)?;
                }
            }
            Payload::ComponentAliasSection(section) => {
                let mut aliases = ComponentAliasSection::new();
                for alias in section.clone() {
                    let alias = alias.map_err(|error| error.to_string())?;
                    let ComponentAlias::InstanceExport { kind: ComponentExternalKind::Type, .. } = alias
                    else {
                        return Err("its imports use more of each other than types".to_owned());
                    };
                    aliases.alias(self.places.component_alias(alias).map_err(words)?);
                    self.types += 1;
                }
                self.out.section(&aliases);
            }
            Payload::ComponentTypeSection(section) => {
                self.types += section.count();
                if let Some((id, range)) = payload.as_section() {
                    self.out.section(&RawSection { id, data: component.get(range).unwrap_or_default() });
                }
            }
            Payload::Version { .. } | Payload::CustomSection(_) | Payload::End(_) => {}
            _ => return Err("there is something before its imports".to_owned()),
        }
        Ok(())
    }

    fn import(&mut self, import: ComponentImport<'_>) -> Result<(), String> {
        let name = import.name.name;
        let (kind, place) = match import.ty {
            ComponentTypeRef::Instance(_) if (self.is_taken)(name) => {
                (ComponentExportKind::Instance, self.refusal(name)?)
            }
            ComponentTypeRef::Instance(_) => {
                self.write(import)?;
                (ComponentExportKind::Instance, self.places.note(name))
            }
            ComponentTypeRef::Type(_) => {
                self.write(import)?;
                self.types += 1;
                (ComponentExportKind::Type, self.types - 1)
            }
            ComponentTypeRef::Module(_)
            | ComponentTypeRef::Func(_)
            | ComponentTypeRef::Value(_)
            | ComponentTypeRef::Component(_) => return Err(format!("`{name}` is no interface")),
        };
        self.arguments.push((name.to_owned(), kind, place));
        Ok(())
    }

    fn write(&mut self, import: ComponentImport<'_>) -> Result<(), String> {
        let mut imports = ComponentImportSection::new();
        imports.import(import.name, self.places.component_type_ref(import.ty).map_err(words)?);
        self.out.section(&imports);
        Ok(())
    }

    /// Makes the instance that was to be imported, of a component that refuses.
    fn refusal(&mut self, name: &str) -> Result<u32, String> {
        let refusal = refusal(&self.wit, name)?;
        let imports = super::inspect(name, &refusal).map_err(|error| error.to_string())?.imports;
        let arguments = imports.into_iter().map(|import| {
            let place = self.places.named.get(&import).copied();
            let missing = || format!("{name} needs {import}, which is not imported before it");
            Ok((import.clone(), ComponentExportKind::Instance, place.ok_or_else(missing)?))
        });
        let arguments = arguments.collect::<Result<Vec<_>, String>>()?;
        let instance = self.instantiate(&refusal, arguments);
        self.alias(instance, ComponentExportKind::Instance, name);
        Ok(self.places.note(name))
    }

    /// Puts a component inside and gives the instance of it.
    fn instantiate(&mut self, component: &[u8], arguments: Vec<(String, ComponentExportKind, u32)>) -> u32 {
        self.out.section(&RawSection { id: ComponentSectionId::Component.into(), data: component });
        let mut instances = ComponentInstanceSection::new();
        instances.instantiate(self.components, arguments);
        self.components += 1;
        self.out.section(&instances);
        self.places.next()
    }

    fn alias(&mut self, instance: u32, kind: ComponentExportKind, name: &str) {
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::InstanceExport { instance, kind, name });
        self.out.section(&aliases);
    }

    /// Puts the component itself inside, and exports what it exports.
    fn finish(mut self, component: &[u8]) -> Vec<u8> {
        let arguments = std::mem::take(&mut self.arguments);
        let instance = self.instantiate(component, arguments);
        let mut functions = 0;
        for (name, kind) in std::mem::take(&mut self.exports) {
            // Others serve the compiler, and nothing that runs a task.
            if kind != ComponentExportKind::Func {
                continue;
            }
            self.alias(instance, kind, &name);
            let mut exports = ComponentExportSection::new();
            exports.export(name.as_str(), kind, functions, None);
            self.out.section(&exports);
            // The export is one more.
            functions += 2;
        }
        self.out.finish()
    }
}

fn words(error: reencode::Error<Infallible>) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use crate::component::inspect;

    /// A component that imports two interfaces, of which one uses a type of the
    /// other, and exports a function.
    const COMPONENT: &str = r#"(component
        (type (instance (export "handle" (type (sub resource)))))
        (import "test:a/kept@1.0.0" (instance (type 0)))
        (alias export 0 "handle" (type))
        (type (instance
            (alias outer 1 1 (type)) (export "handle" (type (eq 0)))
            (export "socket" (type (sub resource)))
            (type (own 2)) (type (own 1)) (type (enum "other" "access-denied"))
            (export "error-code" (type (eq 5)))
            (type (result 3 (error 6)))
            (type (func (param "of" 4) (result 7)))
            (export "open" (func (type 8)))
            (type (func (result u32)))
            (export "count" (func (type 9)))))
        (import "test:a/taken@1.0.0" (instance (type 2)))
        (alias export 1 "socket" (type))
        (core module (func (export "run") (result i32) i32.const 7))
        (core instance (instantiate 0))
        (type (func (result u32)))
        (alias core export 0 "run" (core func))
        (func (type 4) (canon lift (core func 0)))
        (export "run" (func 0)))"#;

    #[test]
    fn what_is_taken_is_not_imported_any_more_and_the_rest_is_as_before() {
        let code = wat::parse_str(COMPONENT).unwrap();
        let made = refuse(&code, |name| name.contains("/taken")).unwrap();
        let found = inspect("x", &made).unwrap();
        assert_eq!((found.imports, found.exports), (vec!["test:a/kept@1.0.0".into()], vec!["run".into()]));
        let all = refuse(&code, |_| true).unwrap();
        assert!(inspect("x", &all).unwrap().imports.is_empty());
        let none = refuse(&code, |_| false).unwrap();
        assert_eq!(inspect("x", &none).unwrap().imports, inspect("x", &code).unwrap().imports);
    }

    #[test]
    fn a_refusal_answers_that_access_is_denied_where_it_can() {
        let code = wat::parse_str(COMPONENT).unwrap();
        let DecodedWasm::Component(wit, _) = wit_component::decode(&code).unwrap() else { unreachable!() };
        let made = refusal(&wit, "test:a/taken@1.0.0").unwrap();
        // The second case of the result, and at the place of a handle the second error.
        assert!(made.windows(5).any(|bytes| bytes == [1, 0, 0, 0, 1]));
        assert!(refusal(&wit, "test:a/other@1.0.0").is_err());
    }

    #[test]
    fn what_is_no_component_is_refused_with_why() {
        for bytes in [&b""[..], b"\0asm\x01\0\0\0", b"int main;"] {
            let said = refuse(bytes, |_| true).unwrap_err().to_string();
            assert!(
                said.starts_with("what its language imports by itself cannot be taken from it: "),
                "{said}"
            );
        }
    }
}
