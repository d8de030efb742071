"""The plots of a report as Plotly figures, made from facts alone."""
