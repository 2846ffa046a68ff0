//! The contract's words.

use wit_parser::{
    Docs, Function, FunctionKind, Handle, Resolve, Result_, Type, TypeDef, TypeDefKind, TypeId,
};

/// Where names of types are found.
#[derive(Clone, Copy)]
pub struct Names<'r>(pub &'r Resolve);

/// What is said of something, with an empty line behind it.
pub fn paragraph(docs: &Docs) -> String {
    docs.contents.as_deref().map(|text| format!("{}\n\n", text.trim())).unwrap_or_default()
}

// === impl Names ===

impl<'r> Names<'r> {
    /// A type as it is written where it is used.
    pub fn of(self, ty: &Type) -> String {
        let Type::Id(id) = ty else { return primitive(ty).to_owned() };
        match self.0.types.get(*id) {
            Some(TypeDef { name: Some(name), .. }) => name.clone(),
            Some(ty) => self.of_kind(&ty.kind),
            None => "???".to_owned(),
        }
    }

    /// A type without a name.
    pub fn of_kind(self, kind: &TypeDefKind) -> String {
        match kind {
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<String> = tuple.types.iter().map(|ty| self.of(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Option(ty) => format!("option<{}>", self.of(ty)),
            TypeDefKind::List(ty) => format!("list<{}>", self.of(ty)),
            TypeDefKind::Result(Result_ { ok, err, .. }) => {
                let of = |ty: &Option<Type>| ty.as_ref().map(|ty| self.of(ty));
                match (of(ok), of(err)) {
                    (ok, Some(err)) => format!("result<{}, {err}>", ok.unwrap_or("_".to_owned())),
                    (Some(ok), None) => format!("result<{ok}>"),
                    (None, None) => "result".to_owned(),
                }
            }
            TypeDefKind::Handle(Handle::Own(id)) => self.name(*id).to_owned(),
            TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", self.name(*id)),
            TypeDefKind::Type(ty) => self.of(ty),
            other => other.as_str().to_owned(),
        }
    }

    /// What kind of type it is, in the contract's language.
    pub fn kind(self, ty: &TypeDef) -> &'static str {
        match &ty.kind {
            TypeDefKind::Record(_)
            | TypeDefKind::Variant(_)
            | TypeDefKind::Enum(_)
            | TypeDefKind::Resource => ty.kind.as_str(),
            _ => "type",
        }
    }

    /// Whether it is another interface's type under the same name.
    pub fn is_elsewhere(self, ty: &Type) -> bool {
        matches!(ty, Type::Id(id) if self.0.types.get(*id).is_some_and(|ty| ty.name.is_some()))
    }

    /// The resource that a function is of, if it is one's.
    pub fn resource(self, function: &Function) -> Option<&'r str> {
        match function.kind {
            FunctionKind::Method(id) | FunctionKind::Static(id) | FunctionKind::Constructor(id) => {
                Some(self.name(id))
            }
            _ => None,
        }
    }

    /// A function's arguments and result.
    pub fn signature(self, function: &Function) -> String {
        let is_method = matches!(function.kind, FunctionKind::Method(_));
        let params = function.params.iter().skip(usize::from(is_method));
        let params: Vec<String> =
            params.map(|param| format!("{}: {}", param.name, self.of(&param.ty))).collect();
        let result = function.result.as_ref().map(|ty| format!(" -> {}", self.of(ty)));
        format!("func({}){}", params.join(", "), result.unwrap_or_default())
    }

    fn name(self, id: TypeId) -> &'r str {
        self.0.types.get(id).and_then(|ty| ty.name.as_deref()).unwrap_or("???")
    }
}

fn primitive(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(_) => "???",
    }
}
