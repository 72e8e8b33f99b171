//! Rust types for a manifest's params, results, inputs and outputs.

use std::path::Path;

use cofferdam_manifest::{
    ArtifactSpec, Fault, Manifest, OutputSpec, ParamSpec, ResultSpec, Value, ValueType,
};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Error, Ident, LitStr, Result};

pub(crate) fn expand(path: &LitStr, function: &Ident) -> Result<TokenStream> {
    let root = std::env::var("CARGO_MANIFEST_DIR").map_err(|error| Error::new(path.span(), error))?;
    let file = Path::new(&root).join(path.value());
    let refuse = |message: String| Error::new(path.span(), message);
    let text = std::fs::read_to_string(&file)
        .map_err(|error| refuse(format!("cannot read {}: {error}", path.value())))?;
    let manifest = Manifest::parse(&text).map_err(|faults| {
        let line = |f: &Fault| {
            let help = f.help.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
            format!("{}:{}: {}{help}", path.value(), f.place, f.message)
        };
        refuse(faults.iter().map(line).collect::<Vec<_>>().join("\n"))
    })?;

    let spec = &manifest.spec;
    let enums = spec.params.iter().filter(|p| !p.choices.is_empty()).map(choice_type);
    let params = params_type(&spec.params)?;
    let results = results_type(&spec.results)?;
    let inputs = mounts_type("Inputs", "Input", "The artifacts this task reads.", &spec.inputs)?;
    let specs: Vec<ArtifactSpec> = spec.outputs.iter().map(OutputSpec::artifact).collect();
    let outputs = mounts_type("Outputs", "Output", "The artifacts this task makes.", &specs)?;
    let contract = contract(spec, function)?;
    let file = file.to_string_lossy().into_owned();
    Ok(quote! {
        // Reading the manifest makes the compiler rebuild when it changes.
        const _: &str = include_str!(#file);
        #(#enums)*
        #params
        #results
        #inputs
        #outputs
        #contract
    })
}

fn field(name: &str) -> Result<Ident> {
    let text = name.replace('-', "_");
    let text = if text.chars().any(|c| c.is_ascii_lowercase()) { snake(&text) } else { text.to_lowercase() };
    syn::parse_str::<Ident>(&text).or_else(|_| {
        syn::parse_str::<Ident>(&format!("{text}_"))
            .map_err(|_| Error::new(Span::call_site(), format!("`{name}` cannot be a field name")))
    })
}

fn snake(text: &str) -> String {
    let mut out = String::new();
    let mut before = '_';
    for c in text.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        before = c;
    }
    out
}

fn camel(text: &str) -> String {
    let mut out = String::new();
    for part in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|p| !p.is_empty()) {
        let mut chars = part.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.extend(chars);
    }
    out
}

fn described(text: &str, otherwise: &str) -> TokenStream {
    let text = if text.is_empty() { otherwise } else { text };
    quote!(#[doc = #text])
}

fn choice_name(param: &ParamSpec) -> Ident {
    format_ident!("{}", camel(param.name.as_str()))
}

fn choice_type(param: &ParamSpec) -> TokenStream {
    let name = choice_name(param);
    let doc = described(&param.description, "One of the strings the manifest lists.");
    let variants: Vec<Ident> = param.choices.iter().map(|c| variant_name(c)).collect();
    let texts = &param.choices;
    quote! {
        #doc
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum #name { #(#[doc = #texts] #variants),* }

        impl #name {
            fn parse(text: &str) -> Option<Self> {
                match text { #(#texts => Some(Self::#variants),)* _ => None }
            }
        }
    }
}

fn variant_name(choice: &str) -> Ident {
    let name = camel(choice);
    let starts_well = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    if starts_well { format_ident!("{name}") } else { format_ident!("Value{name}") }
}

fn rust_type(value_type: ValueType) -> TokenStream {
    match value_type {
        ValueType::String => quote!(::std::string::String),
        ValueType::Array => quote!(::std::vec::Vec<::std::string::String>),
        ValueType::Object => {
            quote!(::std::collections::BTreeMap<::std::string::String, ::std::string::String>)
        }
    }
}

fn params_type(params: &[ParamSpec]) -> Result<TokenStream> {
    let fields = params.iter().map(|param| {
        let name = field(param.name.as_str())?;
        let doc = described(&param.description, "A param of this task.");
        let value_type = if param.choices.is_empty() {
            rust_type(param.effective_type())
        } else {
            let name = choice_name(param);
            quote!(#name)
        };
        Ok(quote!(#doc pub #name: #value_type))
    });
    let fields = fields.collect::<Result<Vec<_>>>()?;
    Ok(quote! {
        /// The values this task was given, defaults applied.
        #[derive(Clone, Debug)]
        pub struct Params { #(#fields),* }
    })
}

fn results_type(results: &[ResultSpec]) -> Result<TokenStream> {
    let fields = results.iter().map(|result| {
        let name = field(result.name.as_str())?;
        let doc = described(&result.description, "A result of this task.");
        let value_type = rust_type(result.value_type);
        Ok(quote!(#doc pub #name: #value_type))
    });
    let fields = fields.collect::<Result<Vec<_>>>()?;
    Ok(quote! {
        /// The values this task hands back.
        #[derive(Clone, Debug)]
        pub struct Results { #(#fields),* }
    })
}

fn mounts_type(name: &str, mount: &str, doc: &str, specs: &[ArtifactSpec]) -> Result<TokenStream> {
    let name = format_ident!("{name}");
    let mount = format_ident!("{mount}");
    let fields = specs.iter().map(|spec| {
        let field = field(spec.name.as_str())?;
        let doc = described(&spec.description, "An artifact.");
        Ok(quote!(#doc pub #field: ::cofferdam_sdk::#mount))
    });
    let fields = fields.collect::<Result<Vec<_>>>()?;
    Ok(quote! {
        #[doc = #doc]
        #[derive(Clone, Debug)]
        pub struct #name { #(#fields),* }
    })
}

fn contract(spec: &cofferdam_manifest::Spec, function: &Ident) -> Result<TokenStream> {
    let mut params = Vec::new();
    for param in &spec.params {
        let (field, name) = (field(param.name.as_str())?, param.name.as_str());
        params.push(if param.choices.is_empty() {
            let take = take_method(param.effective_type());
            quote!(#field: request.#take(#name)?)
        } else {
            let choice = choice_name(param);
            quote!(#field: request.choice(#name, #choice::parse)?)
        });
    }
    let mounts = |specs: &[ArtifactSpec], take: &str| -> Result<Vec<TokenStream>> {
        let take = format_ident!("{take}");
        specs
            .iter()
            .map(|spec| {
                let (field, name) = (field(spec.name.as_str())?, spec.name.as_str());
                Ok(quote!(#field: request.#take(#name)?))
            })
            .collect()
    };
    let inputs = mounts(&spec.inputs, "input")?;
    let specs: Vec<ArtifactSpec> = spec.outputs.iter().map(OutputSpec::artifact).collect();
    let outputs = mounts(&specs, "output")?;
    let results = spec.results.iter().map(|result| {
        let (field, name) = (field(result.name.as_str())?, result.name.as_str());
        Ok(quote!((#name.to_owned(), ::cofferdam_sdk::Value::from(results.#field))))
    });
    let results = results.collect::<Result<Vec<_>>>()?;
    let defaults = spec.params.iter().filter_map(|param| {
        let name = param.name.as_str();
        param.default.as_ref().map(|value| {
            let value = literal(value);
            quote!((#name, #value))
        })
    });
    let input_names = spec.inputs.iter().map(|input| input.name.as_str());
    let output_names = spec.outputs.iter().map(|output| output.name.as_str());
    Ok(quote! {
        /// This task as a whole: its manifest's names and the function that runs it.
        #[derive(Clone, Copy, Debug)]
        pub struct Contract;

        impl ::cofferdam_sdk::Task for Contract {
            fn defaults() -> ::std::vec::Vec<(&'static str, ::cofferdam_sdk::Value)> {
                ::std::vec![#(#defaults),*]
            }

            fn inputs() -> &'static [&'static str] { &[#(#input_names),*] }

            fn outputs() -> &'static [&'static str] { &[#(#output_names),*] }

            fn call(
                ctx: &::cofferdam_sdk::Context,
                mut request: ::cofferdam_sdk::Request,
            ) -> ::std::result::Result<::cofferdam_sdk::Bindings, ::cofferdam_sdk::Failure> {
                let params = Params { #(#params),* };
                let inputs = Inputs { #(#inputs),* };
                let outputs = Outputs { #(#outputs),* };
                request.finish()?;
                let results: Results = #function(ctx, params, inputs, outputs)?;
                ::std::result::Result::Ok(results.into())
            }
        }

        impl ::std::convert::From<Results> for ::cofferdam_sdk::Bindings {
            fn from(results: Results) -> Self {
                let _ = &results;
                ::std::vec![#(#results),*]
            }
        }

        #[cfg(target_family = "wasm")]
        ::cofferdam_sdk::export_task!(Contract);
    })
}

fn take_method(value_type: ValueType) -> Ident {
    match value_type {
        ValueType::String => format_ident!("text"),
        ValueType::Array => format_ident!("texts"),
        ValueType::Object => format_ident!("fields"),
    }
}

fn literal(value: &Value) -> TokenStream {
    match value {
        Value::Text(text) => quote!(::cofferdam_sdk::Value::from(#text.to_owned())),
        Value::Texts(texts) => {
            quote!(::cofferdam_sdk::Value::Texts(::std::vec![#(#texts.to_owned()),*]))
        }
        Value::Fields(fields) => {
            let (keys, texts) = (fields.keys(), fields.values());
            quote!(::cofferdam_sdk::Value::Fields(
                [#((#keys.to_owned(), #texts.to_owned())),*].into_iter().collect()
            ))
        }
    }
}
