"""Documents made into text, piece by piece: PDF, DOCX, HTML, Markdown.

Each module has one function from bytes to pieces of text. They meet hostile files, so each works in bounded memory,
asks its `Bounds` now and then, and says what is wrong as a Reject.
"""
