"""sftcli turns instruction and chat data (JSONL) into masked token shards for fine-tuning."""

__version__ = "0.1.0"
