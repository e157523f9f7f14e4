"""ECLARE: extreme classification with label graph correlations (Mittal et al., WWW 2021)."""
