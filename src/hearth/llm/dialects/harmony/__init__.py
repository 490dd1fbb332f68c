"""gpt-oss's own format over raw completion: ``render`` writes the prompt, ``parser`` reads the answer in pieces of any
size, ``client`` is the model.

Nothing here is a library of OpenAI's: its own needs a vocabulary that it downloads. What the format is was read in
github.com/openai/harmony (``docs/format.md``, ``src/encoding.rs``).
"""
