"""The LLM beside the path: explains a proposal and orders its candidates in a later record; nothing waits for it."""
