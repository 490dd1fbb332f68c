"""Which nodes of each grammar are definitions, as queries of tree-sitter.

A capture's name is the definition's kind; ``comment`` and ``attribute`` are what belongs to the definition below them,
``string`` what holds no names. A pattern that a grammar does not know (they change between releases) is left out.
"""

from __future__ import annotations

_C = """
(function_definition) @function
(struct_specifier body: (_)) @struct
(union_specifier body: (_)) @union
(enum_specifier body: (_)) @enum
(type_definition) @typedef
(preproc_function_def) @macro
(comment) @comment
(string_literal) @string
"""

_JAVASCRIPT = """
(function_declaration) @function
(generator_function_declaration) @function
(class_declaration) @class
(method_definition) @method
(export_statement value: [(class) (function_expression) (arrow_function)] @default)
(program (lexical_declaration (variable_declarator) @variable))
(program (variable_declaration (variable_declarator) @variable))
(program (export_statement (lexical_declaration (variable_declarator) @variable)))
(program (expression_statement (assignment_expression
  left: (member_expression) right: [(function_expression) (arrow_function) (class)]) @function))
(comment) @comment
(string) @string
"""

_TYPESCRIPT = (
    _JAVASCRIPT
    + """
(public_field_definition value: [(arrow_function) (function_expression)]) @method
(abstract_class_declaration) @class
(abstract_method_signature) @method
(interface_declaration) @interface
(type_alias_declaration) @type
(enum_declaration) @enum
(internal_module) @namespace
(module) @namespace
(function_signature) @function
"""
)

PATTERNS = {
    "python": """
(function_definition) @function
(class_definition) @class
(module (expression_statement (assignment left: (identifier)) @variable))
(module (type_alias_statement) @type)
(comment) @comment
(string) @string
""",
    "javascript": _JAVASCRIPT
    + "(field_definition value: [(arrow_function) (function_expression)]) @method\n(jsx_text) @string",
    "typescript": _TYPESCRIPT,
    "tsx": _TYPESCRIPT + "(jsx_text) @string",
    "go": """
(function_declaration) @function
(method_declaration) @method
(type_spec) @type
(type_alias) @type
(source_file (const_declaration (const_spec) @variable))
(source_file (var_declaration (var_spec) @variable))
(source_file (var_declaration (var_spec_list (var_spec) @variable)))
(comment) @comment
[(interpreted_string_literal) (raw_string_literal)] @string
""",
    "rust": """
(function_item) @function
(function_signature_item) @function
(struct_item) @struct
(union_item) @union
(enum_item) @enum
(trait_item) @trait
(impl_item) @impl
(mod_item body: (_)) @module
(macro_definition) @macro
(type_item) @type
(const_item) @variable
(static_item) @variable
[(line_comment) (block_comment)] @comment
[(attribute_item) (inner_attribute_item)] @attribute
[(string_literal) (raw_string_literal)] @string
""",
    "java": """
(class_declaration) @class
(interface_declaration) @interface
(enum_declaration) @enum
(record_declaration) @record
(annotation_type_declaration) @annotation
(method_declaration) @method
(constructor_declaration) @constructor
(compact_constructor_declaration) @constructor
[(line_comment) (block_comment)] @comment
(string_literal) @string
""",
    "c": _C,
    "cpp": _C
    + """
(class_specifier body: (_)) @class
(namespace_definition) @namespace
(alias_declaration) @type
(concept_definition) @concept
(raw_string_literal) @string
""",
    "csharp": """
(namespace_declaration) @namespace
(class_declaration) @class
(interface_declaration) @interface
(struct_declaration) @struct
(record_declaration) @record
(enum_declaration) @enum
(delegate_declaration) @delegate
(method_declaration) @method
(constructor_declaration) @constructor
(property_declaration) @property
(local_function_statement) @function
(comment) @comment
[(string_literal) (verbatim_string_literal) (raw_string_literal)] @string
""",
    "ruby": """
(module) @module
(class) @class
(method) @method
(singleton_method) @method
(assignment left: (constant)) @variable
(comment) @comment
(string_content) @string
""",
    "php": """
(function_definition) @function
(class_declaration) @class
(interface_declaration) @interface
(trait_declaration) @trait
(enum_declaration) @enum
(method_declaration) @method
(comment) @comment
[(string_content) (text)] @string
""",
    "kotlin": """
(class_declaration) @class
(object_declaration) @object
(companion_object) @object
(function_declaration) @function
(type_alias) @type
(source_file (property_declaration) @variable)
[(line_comment) (block_comment)] @comment
(string_content) @string
""",
    "scala": """
(class_definition) @class
(object_definition) @object
(trait_definition) @trait
(enum_definition) @enum
(function_definition) @function
(function_declaration) @function
(type_definition) @type
(given_definition) @given
[(comment) (block_comment)] @comment
(string) @string
""",
    "swift": """
(class_declaration) @class
(protocol_declaration) @protocol
(function_declaration) @function
(protocol_function_declaration) @function
(init_declaration) @constructor
(typealias_declaration) @type
(source_file (property_declaration) @variable)
[(comment) (multiline_comment)] @comment
(line_str_text) @string
""",
    "lua": """
(function_declaration) @function
(assignment_statement (variable_list . (_) .) (expression_list . (function_definition) .)) @function
(comment) @comment
(string) @string
""",
    "zig": """
(function_declaration) @function
(source_file (variable_declaration) @variable)
(test_declaration (string)) @test
(comment) @comment
(string) @string
""",
    "bash": """
(function_definition) @function
(comment) @comment
(raw_string) @string
""",
    "css": """
(rule_set) @rule
(keyframes_statement) @rule
(comment) @comment
(string_value) @string
""",
    "html": "(comment) @comment",
    "yaml": """
(document (block_node (block_mapping (block_mapping_pair) @key)))
(comment) @comment
""",
    "toml": """
(table) @table
(table_array_element) @table
(comment) @comment
(string) @string
""",
}
"""The query of each language that a grammar reads."""

WRAPPERS = frozenset(
    {"decorated_definition", "export_statement", "template_declaration", "type_declaration", "expression_statement"}
    | {"lexical_declaration", "variable_declaration", "const_declaration", "var_declaration", "ambient_declaration"}
    | {"linkage_specification", "local_declaration"}
)
"""Nodes that are one thing with the only definition in them: its decorators, ``export``, ``template <…>``."""

WORDS = {
    "python": {"function": "def", "method": "def"},
    "go": {"function": "func", "method": "func"},
    "rust": {"function": "fn", "method": "fn", "module": "mod"},
    "ruby": {"method": "def"},
    "kotlin": {"function": "fun", "method": "fun"},
    "swift": {"function": "func", "method": "func", "constructor": "init"},
    "scala": {"function": "def", "method": "def"},
    "zig": {"function": "fn", "method": "fn"},
}
"""What a kind is called in the language itself, where that is not the kind's own name."""
