"""The pages that a server carries: the chat, its client, the API in words."""
