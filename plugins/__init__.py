"""The built-in plugins. Each imports only what `qharness` exports, and none imports another."""
