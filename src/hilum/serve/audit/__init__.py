"""Audit any model: a bundle, a ``predict`` function, an ONNX file, or a table of scores.

from hilum.serve.audit import audit

def predict(films):            # Sequence[Radiograph] -> scores (N,) in [0, 1]
    return [my_model(film.pixels) for film in films]

found = audit(predict=predict, cases=read_cases("cases.csv"), threshold=0.5, out=Path("out"))
print(found.verdict, [test.title for test in found.failed])
"""

from hilum.judge.audit.limits import AuditLimits
from hilum.judge.audit.schema import Audit, AuditVerdict, Overall
from hilum.serve.audit.run import audit
from hilum.serve.audit.subject import AuditSubject, BundleSubject, OnnxSubject, PredictSubject

__all__ = [
    "Audit",
    "AuditLimits",
    "AuditSubject",
    "AuditVerdict",
    "BundleSubject",
    "OnnxSubject",
    "Overall",
    "PredictSubject",
    "audit",
]
