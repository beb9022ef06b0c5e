"""Provisional."""
from decimal import Decimal
from datetime import datetime, UTC
import msgspec
class JsonError(ValueError): ...
_D = msgspec.json.Decoder(float_hook=Decimal)
_E = msgspec.json.Encoder(decimal_format="number")
def loads(text): 
    try: return _D.decode(text)
    except msgspec.DecodeError as e: raise JsonError(str(e)) from e
def loads_as(t, text):
    try: return msgspec.json.Decoder(t, float_hook=Decimal).decode(text)
    except msgspec.DecodeError as e: raise JsonError(str(e)) from e
def clean(v):
    if v is None or isinstance(v,(bool,int,Decimal,str)): return v
    if isinstance(v,float): return Decimal(repr(v))
    if isinstance(v,dict): return {k:clean(x) for k,x in v.items()}
    if isinstance(v,(list,tuple)): return [clean(x) for x in v]
    if isinstance(v,datetime): return v.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00","Z")
    raise JsonError(f"{type(v)}")
def dumps(v): return _E.encode(clean(v)).decode()
def dumps_struct(v): return _E.encode(v).decode()
def pretty(v): return msgspec.json.format(dumps(v), indent=2)
def locate(text, path): return None
