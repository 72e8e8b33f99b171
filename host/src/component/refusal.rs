//! A component that exports one interface and does nothing of it: what may fail
//! fails, with `access-denied` where the interface has such an error.

use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection, MemorySection,
    MemoryType, Module, TypeSection, ValType,
};
use wit_bindgen_core::wit_parser::abi::{AbiVariant, WasmType};
use wit_bindgen_core::wit_parser::{
    self, Int, LiftLowerAbi, ManglingAndAbi, Resolve, SizeAlign, Type, TypeDefKind, WasmExport,
    WasmExportKind, WorldId, WorldItem,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The error that says so.
const DENIED: &str = "access-denied";
/// Between one answer in memory and the next; none is longer.
const ANSWER: usize = 32;

/// Makes the component that exports an interface of some WIT, by its name with
/// the version. It imports what the types of that interface are made of.
///
/// # Errors
/// What about the interface is not understood.
pub(super) fn refusal(wit: &Resolve, interface: &str) -> Result<Vec<u8>, String> {
    let mut wit = wit.clone();
    let mut make = || {
        let text = format!("package cofferdam:refusal;\nworld refusal {{ export {interface}; }}\n");
        let package = wit.push_str("refusal.wit", &text)?;
        let world = wit.select_world(&[package], None)?;
        let mut module = module(&wit, world);
        embed_component_metadata(&mut module, &wit, world, StringEncoding::UTF8)?;
        ComponentEncoder::default().validate(true).module(&module)?.encode()
    };
    make().map_err(|error| format!("{error:#}"))
}

/// The module in it: every function gives its refusal, or cannot be called.
#[expect(clippy::indexing_slicing, reason = "the ids are of this WIT")]
fn module(wit: &Resolve, world: WorldId) -> Vec<u8> {
    let mut sizes = SizeAlign::default();
    sizes.fill(wit);
    let (mut types, mut functions, mut exports) =
        (TypeSection::new(), FunctionSection::new(), ExportSection::new());
    let (mut code, mut data) = (CodeSection::new(), DataSection::new());
    let mut count = 0;
    for (key, item) in &wit.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else { continue };
        for function in wit.interfaces[*id].functions.values() {
            let signature = wit.wasm_signature(AbiVariant::GuestExport, function);
            let value = |kinds: &[WasmType]| kinds.iter().copied().map(value_type).collect::<Vec<_>>();
            types.ty().function(value(&signature.params), value(&signature.results));
            functions.function(count);
            let export =
                WasmExport::Func { interface: Some(key), func: function, kind: WasmExportKind::Normal };
            let name = wit.wasm_export_name(ManglingAndAbi::Legacy(LiftLowerAbi::Sync), export);
            exports.export(&name, ExportKind::Func, count);
            let mut body = Function::new([]);
            match answer(wit, &sizes, function).filter(|_| signature.retptr) {
                Some(answer) => {
                    let at = i32::try_from(data.len() as usize * ANSWER).unwrap_or(0);
                    data.active(0, &ConstExpr::i32_const(at), answer);
                    body.instructions().i32_const(at).end();
                }
                None => {
                    body.instructions().unreachable().end();
                }
            }
            code.function(&body);
            count += 1;
        }
    }
    // Texts that would be handed in find no room.
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    functions.function(count);
    exports.export("cabi_realloc", ExportKind::Func, count);
    let mut body = Function::new([]);
    body.instructions().unreachable().end();
    code.function(&body);
    exports.export("memory", ExportKind::Memory, 0);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: Some(1),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&exports);
    module.section(&code).section(&data);
    module.finish()
}

/// What a function answers in memory (Canonical ABI, "Storing"): the second case
/// of its result, and in it the error.
#[expect(clippy::indexing_slicing, reason = "the ids are of this WIT")]
#[expect(clippy::wildcard_enum_match_arm, reason = "errors of other types cannot be given")]
fn answer(wit: &Resolve, sizes: &SizeAlign, function: &wit_parser::Function) -> Option<Vec<u8>> {
    let Some(Type::Id(result)) = function.result else { return None };
    let TypeDefKind::Result(result) = &wit.types[result].kind else { return None };
    let mut error = result.err?;
    let denied = loop {
        let Type::Id(id) = error else { return None };
        match &wit.types[id].kind {
            TypeDefKind::Type(named) => error = *named,
            TypeDefKind::Enum(kind) => break kind.cases.iter().position(|case| case.name == DENIED)?,
            _ => return None,
        }
    };
    let offset = sizes.payload_offset(Int::U8, [result.ok.as_ref(), result.err.as_ref()]).size_wasm32();
    let mut answer = vec![1];
    answer.resize(offset, 0);
    answer.push(u8::try_from(denied).ok()?);
    (answer.len() <= ANSWER).then_some(answer)
}

fn value_type(kind: WasmType) -> ValType {
    match kind {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
    }
}
