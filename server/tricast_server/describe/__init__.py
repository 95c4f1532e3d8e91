"""The API in words that programs read: OpenAPI for HTTP, AsyncAPI for the streams, JSON Schema for what is in them.

All of it is made from the types and the limits that the code goes by, so that it cannot say something else.
"""
