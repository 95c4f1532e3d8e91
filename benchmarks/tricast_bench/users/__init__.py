"""The load: clients with blocking gevent I/O that read, decode and keep account as the real client does."""
