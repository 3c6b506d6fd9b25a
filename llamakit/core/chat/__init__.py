"""Chats: messages, and the templates that write them as prompts."""
