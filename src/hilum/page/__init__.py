"""Page: one look for every self-contained HTML page that Hilum writes."""
