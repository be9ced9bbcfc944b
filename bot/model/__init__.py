"""Language model: at any OpenAI-compatible endpoint, through ChatOpenAI, or on this machine.

Exports nothing: LangChain takes a second to import, and only some of these modules need it.
"""
