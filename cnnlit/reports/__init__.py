"""What people read: tables, pages, charts."""
