//! `task!`: turns a `task.yaml` into the types of one Rust function.

mod generate;

use proc_macro::TokenStream;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitStr, Token};

struct Call {
    manifest: LitStr,
    function: Ident,
}

impl Parse for Call {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let manifest = input.parse()?;
        input.parse::<Token![,]>()?;
        let function = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { manifest, function })
    }
}

/// Declares the task that `task.yaml` describes and the function that runs it.
///
/// `task!("task.yaml", run);` generates `Params`, `Results`, `Inputs` and
/// `Outputs` from the manifest, and expects
///
/// ```text
/// fn run(ctx: &Context, params: Params, inputs: Inputs, outputs: Outputs)
///     -> Result<Results, Failure>
/// ```
///
/// The path is relative to the crate. A fault in the manifest is a compile
/// error that names its line. The type `Contract` stands for the whole task,
/// for `cofferdam_sdk::harness`.
#[proc_macro]
pub fn task(tokens: TokenStream) -> TokenStream {
    let call = syn::parse_macro_input!(tokens as Call);
    match generate::expand(&call.manifest, &call.function) {
        Ok(tokens) => tokens.into(),
        Err(error) => error.to_compile_error().into(),
    }
}
