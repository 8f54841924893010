"""The intent compiler: an operator's sentence becomes constraints, or a question. No LLM.

The grammar is documented in docs/reference/intent-grammar.md. Start at `compiler.compile_intent`.
"""
