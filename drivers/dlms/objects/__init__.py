"""Interface classes of COSEM as a client uses them: steps on an association, one module a class."""
